"""The options of the installed Hypercorn."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn

from django_prodserver.backends.introspection.installed import (
    InstalledOptions,
    OptionHelp,
    refused_by_action,
)
from django_prodserver.backends.introspection.parsers import from_argparse
from django_prodserver.config.argv import Option


class HypercornOptions(InstalledOptions):
    """The options of Hypercorn's parser, with the defaults of its Config."""

    def read_options(self) -> list[Option]:
        return from_argparse(parser())

    def refusal(self, flag: str, text: str) -> str:
        for action in parser()._actions:
            if flag in action.option_strings:
                return refused_by_action(action, text)
        return ""

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        from hypercorn.config import Config

        from django_prodserver.backends.hypercorn.backend import attribute_of

        config = Config()
        for action in parser()._actions:
            for flag in action.option_strings:
                name = flag.lstrip("-")
                default = getattr(config, attribute_of(name), None)
                yield name, OptionHelp(default, action.help or "")


def parser() -> argparse.ArgumentParser:
    """
    Return Hypercorn's own parser of its command line.

    Its ``main()`` builds the parser and uses it at once, so it is intercepted there.
    """
    native: Any = import_module("hypercorn.__main__")
    # Patches hypercorn, checked with 0.18: no function returns its parser.
    names = {**vars(argparse), "ArgumentParser": _Parser}
    native.argparse = SimpleNamespace(**names)
    try:
        native.main(["application"])
    except _Built as built:
        return built.parser
    finally:
        native.argparse = argparse
    message = "this release of hypercorn parses its command line differently"
    raise RuntimeError(message)


class _Built(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


class _Parser(argparse.ArgumentParser):
    def parse_args(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise _Built(self)


TABLES = {"options.json": HypercornOptions("hypercorn")}
