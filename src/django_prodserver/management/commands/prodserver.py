"""``manage.py prodserver``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_prodserver.commands import by_kind, cli, printing
from django_prodserver.exceptions import ProdserverError
from django_prodserver.logs import config
from django_prodserver.process import termination_log
from django_prodserver.process.entry import find_entry
from django_prodserver.process.executable import Program


class Command(BaseCommand):
    """Start one of the processes in ``PRODUCTION_PROCESSES``."""

    help = "Start one of the processes in PRODUCTION_PROCESSES."
    # A start checks only its process; the checks of the whole project are for
    # "manage.py check". With the tag, Django still adds the option --skip-checks.
    requires_system_checks = ["prodserver"]

    #: "server" or "worker" if the command is for one kind of process only.
    kind = ""
    #: The program that started this process; None after ``call_command``.
    entry: Program | None = None

    def run_from_argv(self, argv: list[str]) -> None:
        self.entry = find_entry(argv)
        super().run_from_argv(argv)

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Set here and not passed above: django-configurations replaces Django's
        # method with one that takes no keyword arguments.
        parser.allow_abbrev = False
        split = partial(cli.split, parser=parser)
        # Django parses with this, for the command line and for call_command.
        parser.parse_args = lambda args=None, namespace=None: split(args or [])  # type: ignore[method-assign, assignment]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the start checks the one process that it runs."""

    def handle(self, *args: str, **options: Any) -> None:
        try:
            code = self.start(printing.writer(self.stdout), **options)
        except ProdserverError as error:
            termination_log.write(f"prodserver: {error}")
            if config.log_fatal(str(error)):
                sys.exit(error.returncode)
            raise CommandError(str(error), returncode=error.returncode) from error
        if code:
            sys.exit(code)

    def start(self, write: cli.Write, **options: Any) -> int:
        if self.kind and options["list"]:
            write(by_kind.as_text(self.kind))
            return 0
        if self.kind:
            names = options["names"]
            if options["all"] and not names:
                names = by_kind.of_kind(self.kind)
            options["names"] = by_kind.select(self.kind, names)
        return cli.run(write=write, entry=self.entry, **options)
