"""A step of a release: says that it began and ended, and fails as it is told to."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--seconds", type=float, default=0)
        parser.add_argument("--until", help="A file to wait for.")
        parser.add_argument("--fail", choices=("error", "exit", "text", "bug"))

    def handle(self, **options: Any) -> None:
        _say(f"{options['name']} began")
        time.sleep(options["seconds"])
        while options["until"] and not (settings.DATA / options["until"]).exists():
            time.sleep(0.05)
        if options["fail"] == "error":
            raise CommandError("it went wrong", returncode=3)
        if options["fail"] == "exit":
            sys.exit(4)
        if options["fail"] == "text":
            sys.exit("some words")
        if options["fail"] == "bug":
            raise RuntimeError("a bug of the user's")
        _say(f"{options['name']} ended")


def _say(text: str) -> None:
    with (settings.DATA / "steps").open("a") as file:
        file.write(f"{text}\n")
