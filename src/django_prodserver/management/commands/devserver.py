"""``manage.py devserver``: a mirror of production for development."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_prodserver.commands import cli, devserver, unknown_options
from django_prodserver.management.commands.prodserver import Command as Prodserver


class Command(Prodserver):
    """Run a process as in production, with one worker and reloading."""

    help = (
        "Run a process of PRODUCTION_PROCESSES as in production, with the same server, "
        "address and settings, but with one worker, a restart whenever the code "
        "changes, and static files served as runserver does."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_name(parser)
        cli.add_explain(parser)
        cli.add_printing(parser)

    def start(self, write: cli.Write, **options: Any) -> int:
        name = cli.only(options["names"])
        planned = devserver.plan(name, options["native"])
        unknown_options.reject(options["typed"], options["ours"], planned.backend)
        if options["explain"]:
            cli.explain(planned, write, self.entry, **options)
            return 0
        return devserver.run(planned, self.stderr.write, self.entry)
