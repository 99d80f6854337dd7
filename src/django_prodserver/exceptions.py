"""The errors a user is meant to see, and the exit codes that go with them."""

from __future__ import annotations

import enum
from typing import Self


class ExitCode(enum.IntEnum):
    """What ``prodserver`` exits with when it is not the server that exits."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self

    #: Not 143, which is a clean stop for tini in the image, and so for who waits for
    #: the release.
    RELEASE_STOPPED = 1, "A release was stopped by SIGTERM."
    USAGE = 2, "The command line is wrong."
    UNAVAILABLE = (
        69,
        "What it waits for has not come, or the lock of a release was lost.",
    )
    CONFIGURATION = 78, "The settings cannot be started."
    INTERRUPTED = 130, "SIGINT came while it waited."
    TERMINATED = 143, "SIGTERM came while it waited."


class CheckId(enum.StrEnum):
    """A system check's id, with what it says in a sentence."""

    meaning: str

    def __new__(cls, id: str, meaning: str) -> Self:
        self = str.__new__(cls, id)
        self._value_ = id
        self.meaning = meaning
        return self


class Fault(CheckId):
    """
    What can be wrong with the settings: each a system check's id.

    A number is never used again, not even that of a fault that is gone.
    """

    NOT_A_DICT = "prodserver.E001", "PRODUCTION_PROCESSES is no dictionary."
    EMPTY = "prodserver.E002", "PRODUCTION_PROCESSES names no processes."
    BAD_NAME = "prodserver.E003", "The name of a process is of the wrong form."
    SPEC_NOT_A_DICT = "prodserver.E004", "A process is no dictionary."
    NO_BACKEND = "prodserver.E005", "A process has no BACKEND."
    BACKEND_NOT_IMPORTABLE = "prodserver.E006", "BACKEND cannot be imported."
    NOT_A_BACKEND = "prodserver.E007", "BACKEND is no backend."
    NOT_INSTALLED = "prodserver.E008", "The server is not installed."
    UNKNOWN_KEY = "prodserver.E009", "A process has a key that nothing reads."
    BAD_ARGS = "prodserver.E010", "ARGS holds what no command line can say."
    BAD_VALUE = (
        "prodserver.E011",
        "A key, or a variable of the environment, has a value of the wrong form.",
    )
    BAD_APP = "prodserver.E012", "APP is missing, or names no Celery app."
    NO_APPLICATION = (
        "prodserver.E013",
        "WSGI_APPLICATION or ASGI_APPLICATION, which is to be served, is not set.",
    )
    APP_NOT_INSTALLED = (
        "prodserver.E014",
        "The app that brings the worker's command is not in INSTALLED_APPS.",
    )
    #: No check can say it: there are no settings to check.
    NO_SETTINGS = (
        "prodserver.E015",
        "There are no settings, or they cannot be used; only a start can say it.",
    )
    BAD_HEALTH = "prodserver.E016", "PRODSERVER_HEALTH is wrong."


class ProdserverError(Exception):
    """
    Something the user can put right.

    Args:
        message: What is wrong, with the value; one line.
        hint: What to do about it; one line, ready to paste.
    """

    returncode = ExitCode.CONFIGURATION

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ProdserverError):
    """The command line makes no sense."""

    returncode = ExitCode.USAGE


class ConfigurationError(ProdserverError):
    """The settings cannot be started, for the reason that ``fault`` names."""

    def __init__(self, fault: Fault, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.fault = fault


class UnavailableError(ProdserverError):
    """What was waited for has not come, or is gone."""

    returncode = ExitCode.UNAVAILABLE


class UnknownProcess(ProdserverError):
    """No process has the name that was asked for."""
