"""Whether an installed server takes a value: each is asked in its own way."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

WHOLE = "Write a whole number."
NUMBER = "Write a number."


def refusal(server: str, flag: str, text: str) -> str:
    """
    Return how an option is to be written; "" if the server takes it so.

    Args:
        server: A table's name.
        flag: The option, ``--workers``.
        text: The value, as it is on the command line.
    """
    return _ASKED[server](flag, text) if server in _ASKED else ""


def _number(kind: object, text: str) -> str:
    if kind is not int and kind is not float:
        return ""
    try:
        kind(text)
    except ValueError:
        return WHOLE if kind is int else NUMBER
    return ""


def _gunicorn(flag: str, text: str) -> str:
    from gunicorn.config import KNOWN_SETTINGS, validate_pos_int

    for setting in KNOWN_SETTINGS:
        if flag in (setting.cli or ()):
            if refused := _number(setting.type, text):
                return refused
            if setting.validator is validate_pos_int and int(text, 0) < 0:
                return "Write a whole number from 0."
    # A class of the user's own has a dot, or is an entry point: "egg:package#name".
    if flag == "--worker-class" and not {".", ":"} & set(text):
        from gunicorn.workers import SUPPORTED_WORKERS

        if text not in SUPPORTED_WORKERS:
            choices = ", ".join(map(repr, SUPPORTED_WORKERS))
            return f"Write one of {choices}, or the path of a class."
    return ""


def _waitress(flag: str, text: str) -> str:
    from waitress.adjustments import Adjustments

    name = flag.removeprefix("--").replace("-", "_")
    return _number(dict(Adjustments._params).get(name), text)


def _flower(flag: str, text: str) -> str:
    from flower.options import default_options

    known = default_options._options.get(flag.removeprefix("--"))
    return _number(known.type, text) if known else ""


def _click(module: str, name: str) -> Callable[[str, str], str]:
    def ask(flag: str, text: str) -> str:
        from click import BadParameter, Choice, Path

        command = getattr(import_module(module), name)
        for parameter in command.params:
            # A path may be there where it is started, and not here.
            if flag not in parameter.opts or isinstance(parameter.type, Path):
                continue
            try:
                parameter.type.convert(text, parameter, None)
            except BadParameter as error:
                if isinstance(parameter.type, Choice):
                    choices = ", ".join(repr(str(c)) for c in parameter.type.choices)
                    return f"Write one of {choices}."
                kind = parameter.type.to_info_dict()["param_type"]
                if kind.startswith(("Int", "Float")):  # IntRange too
                    return WHOLE if kind.startswith("Int") else NUMBER
                return f"It says: {error.message.rstrip('.')}."
        return ""

    return ask


def _command(app: str, name: str) -> Callable[[str, str], str]:
    def ask(flag: str, text: str) -> str:
        from django.core.management import load_command_class

        parser = load_command_class(app, name).create_parser("", name)
        for action in parser._actions:
            if flag in action.option_strings:
                return _refused(action, text)
        return ""

    return ask


def _refused(action: argparse.Action, text: str) -> str:
    value: Any = text
    if callable(action.type):
        if refused := _number(action.type, text):
            return refused
        try:
            value = action.type(text)
        except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
            return f"It says: {str(error).rstrip('.')}."
    if action.choices is not None and value not in action.choices:
        return f"Write one of {', '.join(repr(c) for c in action.choices)}."
    return ""


_ASKED: dict[str, Callable[[str, str], str]] = {
    "gunicorn": _gunicorn,
    "uvicorn": _click("uvicorn.main", "main"),
    "granian": _click("granian.cli", "cli"),
    "waitress": _waitress,
    "celery_worker": _click("celery.bin.worker", "worker"),
    "celery_beat": _click("celery.bin.beat", "beat"),
    "celery_flower": _flower,
    "db_worker": _command("django_tasks_db", "db_worker"),
    "qcluster": _command("django_q", "qcluster"),
    "rqworker": _command("django_rq", "rqworker"),
}
