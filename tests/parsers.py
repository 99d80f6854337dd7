"""The servers' own parsers, for the native commands that we make."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.core.management import get_commands, load_command_class


def parse(argv: list[str]) -> dict[str, Any]:
    """
    Return what the server's own parser makes of a native command.

    Raises:
        SystemExit: It refuses it.
    """
    script, *words = argv
    return _PARSERS[script](words)


def _gunicorn(argv: list[str]) -> dict[str, Any]:
    from gunicorn.config import Config

    return dict(vars(Config().parser().parse_args(argv)))


def _click(module: str, name: str) -> Callable[[list[str]], dict[str, Any]]:
    def parse(argv: list[str]) -> dict[str, Any]:
        return _context(getattr(import_module(module), name), name, argv)

    return parse


def _context(command: Any, name: str, argv: list[str], **more: Any) -> dict[str, Any]:
    from click import UsageError

    try:
        return dict(command.make_context(name, argv, **more).params)
    except UsageError as error:  # as click does where it is not called from Python
        error.show()
        raise SystemExit(error.exit_code) from error


def _celery(argv: list[str]) -> dict[str, Any]:
    from celery.bin.base import CLIContext

    option, path, *rest = argv
    assert option == "-A"
    name, *args = [word for word in rest if word != "-q"]
    if name == "flower":  # it takes what it does not know, and leaves it out
        return {}
    module, _, attribute = path.rpartition(".")
    app = getattr(import_module(module), attribute)
    context = CLIContext(app=app, no_color=True, workdir=None)
    found = getattr(import_module(f"celery.bin.{name}"), name)
    return _context(found, name, args, obj=context)


def _waitress(argv: list[str]) -> dict[str, Any]:
    from waitress.adjustments import Adjustments

    # Ours, and the only option that is.
    own = [word for word in argv if not word.startswith("--graceful-timeout=")]
    return dict(Adjustments.parse_args(own)[0])


def _management(argv: list[str]) -> dict[str, Any]:
    name, *args = argv
    command = load_command_class(get_commands()[name], name)
    return vars(command.create_parser("", name).parse_args(args))


def _hypercorn(argv: list[str]) -> dict[str, Any]:
    from django_prodserver.backends.hypercorn.introspect import parser

    # Not its own parse_args(), which only hands the parser out.
    return dict(vars(ArgumentParser.parse_args(parser(), argv)))


_PARSERS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "celery": _celery,
    "django-admin": _management,
    "granian": _click("granian.cli", "cli"),
    "gunicorn": _gunicorn,
    "prodserver-hypercorn": _hypercorn,
    "prodserver-waitress": _waitress,
    "uvicorn": _click("uvicorn.main", "main"),
}
