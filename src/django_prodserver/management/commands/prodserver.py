"""``manage.py prodserver``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_prodserver.commands import by_kind, cli
from django_prodserver.exceptions import ProdserverError
from django_prodserver.logs import config
from django_prodserver.process import termination_log
from django_prodserver.process.entry import find_entry
from django_prodserver.process.executable import Program


class Command(BaseCommand):
    """Become one of the processes that ``PRODUCTION_PROCESSES`` names."""

    help = "Become one of the processes that PRODUCTION_PROCESSES names."
    # The process's own settings are checked as it starts, with one message; the
    # project's checks are for "manage.py check". The tag keeps --skip-checks.
    requires_system_checks = ["prodserver"]

    #: "server" or "worker" where the command is for one kind of process only.
    kind = ""
    #: What has started this process; None if something in it calls the command.
    entry: Program | None = None

    def run_from_argv(self, argv: list[str]) -> None:
        self.entry = find_entry(argv)
        super().run_from_argv(argv)

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Not passed on above: django-configurations replaces Django's method by one
        # without keyword arguments.
        parser.allow_abbrev = False
        split = partial(cli.split, parser=parser)
        # Django parses with this, whether the command line calls or call_command.
        parser.parse_args = lambda args=None, namespace=None: split(args or [])  # type: ignore[method-assign, assignment]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Leave the checking to the start, which looks at one process only."""

    def handle(self, *args: str, **options: Any) -> None:
        try:
            code = self.start(**options)
        except ProdserverError as error:
            termination_log.write(f"prodserver: {error}")
            if config.log_fatal(str(error)):
                sys.exit(error.returncode)
            raise CommandError(str(error), returncode=error.returncode) from error
        if code:
            sys.exit(code)

    def start(self, **options: Any) -> int:
        if self.kind and options["list"]:
            self.stdout.write(by_kind.as_text(self.kind))
            return 0
        if self.kind:
            names = options["names"]
            if options["all"] and not names:
                names = by_kind.of_kind(self.kind)
            options["names"] = by_kind.select(self.kind, names)
        return cli.run(write=self.stdout.write, entry=self.entry, **options)
