"""Errors for the user, with their exit codes and system-check IDs."""

from __future__ import annotations

import enum
from typing import Self

from django_prodserver.text import redact


class ExitCode(enum.IntEnum):
    """The exit codes of ``prodserver`` itself, not of the server."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self

    #: Not 143: tini in the image turns that into 0, so the release would seem
    #: complete.
    RELEASE_STOPPED = 1, "A release was stopped by SIGTERM."
    USAGE = 2, "The command line is wrong."
    UNAVAILABLE = (
        69,
        "A dependency was not ready in time, a database lock was lost, or --compare "
        "could not measure anything.",
    )
    CONFIGURATION = 78, "The settings are invalid."
    INTERRUPTED = 130, "SIGINT arrived while it was waiting, comparing or asking."
    #: As a shell reports a program that SIGPIPE has ended.
    OUTPUT_CLOSED = 141, "The reader of the output, such as `head`, closed it."
    TERMINATED = 143, "SIGTERM arrived while it was waiting or comparing."


class CheckId(enum.StrEnum):
    """The ID of a system check, with its meaning in one sentence."""

    meaning: str

    def __new__(cls, id: str, meaning: str) -> Self:
        self = str.__new__(cls, id)
        self._value_ = id
        self.meaning = meaning
        return self


class Fault(CheckId):
    """
    The ID of an error in the settings, with its meaning.

    A number is never reused, not even that of a removed error.

    Attributes:
        depends_on_environment: Whether it depends on this machine or on another part
            of the project, and not on ``PRODUCTION_PROCESSES`` alone. A plain
            ``manage.py check``, which ``migrate``, ``test`` and ``runserver`` run,
            then only warns.
    """

    depends_on_environment: bool

    def __new__(
        cls, id: str, meaning: str, depends_on_environment: bool = False
    ) -> Self:
        self = str.__new__(cls, id)
        self._value_ = id
        self.meaning = meaning
        self.depends_on_environment = depends_on_environment
        return self

    NOT_A_DICT = "prodserver.E001", "PRODUCTION_PROCESSES is not a dictionary."
    EMPTY = "prodserver.E002", "PRODUCTION_PROCESSES is empty or not set.", True
    BAD_NAME = "prodserver.E003", "The name of a process is invalid."
    SPEC_NOT_A_DICT = "prodserver.E004", "A process is not a dictionary."
    NO_BACKEND = "prodserver.E005", "A process has no BACKEND."
    BACKEND_NOT_IMPORTABLE = "prodserver.E006", "BACKEND cannot be imported."
    NOT_A_BACKEND = "prodserver.E007", "BACKEND is not a backend class."
    NOT_INSTALLED = "prodserver.E008", "The server is not installed.", True
    UNKNOWN_KEY = "prodserver.E009", "A process has an unknown key."
    BAD_ARGS = (
        "prodserver.E010",
        "ARGS has a value that cannot be put on a command line.",
    )
    BAD_VALUE = "prodserver.E011", "A key has an invalid value."
    BAD_APP = "prodserver.E012", "APP is missing, or is not a dotted path."
    NO_APPLICATION = (
        "prodserver.E013",
        "The server needs WSGI_APPLICATION or ASGI_APPLICATION, which is not set.",
        True,
    )
    APP_NOT_INSTALLED = (
        "prodserver.E014",
        "The app that provides the worker's command is not in INSTALLED_APPS.",
        True,
    )
    #: Reported only by a start: without settings no check can run.
    NO_SETTINGS = (
        "prodserver.E015",
        "The settings are missing or cannot be loaded. Only a start reports this.",
    )
    BAD_HEALTH = "prodserver.E016", "PRODSERVER_HEALTH is invalid."
    BACKEND_NOT_FOUND = (
        "prodserver.E017",
        "BACKEND names a third-party module that does not exist here.",
        True,
    )
    APP_NOT_FOUND = "prodserver.E018", "There is no Celery app at APP.", True
    BAD_VARIABLE = (
        "prodserver.E019",
        "An environment variable has an invalid value.",
        True,
    )
    RELEASE_UNSUPPORTED = (
        "prodserver.E020",
        "A release needs a command or a lock that the project does not have.",
        True,
    )
    #: Reported only by a check: a start shows the traceback.
    LOADING_FAILS = (
        "prodserver.E021",
        "Importing the module of BACKEND, APP or a health check raises an error.",
        True,
    )
    NOTHING_TO_WAIT_FOR = (
        "prodserver.E022",
        "WAIT_FOR names a database or a cache that the project does not have.",
        True,
    )
    NOT_ON_WINDOWS = "prodserver.E023", "The server does not run on Windows.", True
    LOCK_UNSUPPORTED = (
        "prodserver.E024",
        "LOCK or SINGLETON needs a database that the project does not have, or an app "
        "that is not in INSTALLED_APPS.",
        True,
    )
    COMMAND_NOT_FOUND = (
        "prodserver.E027",
        "No installed app has the management command that COMMAND names.",
        True,
    )


class ProdserverError(Exception):
    """
    The base of all errors that the user can fix.

    Args:
        message: What is wrong, with the value; one line. Secrets in it are masked.
        hint: What to do about it; one line, ready to paste.
    """

    returncode = ExitCode.CONFIGURATION

    def __init__(self, message: str, hint: str = "") -> None:
        # It may quote a value, or the text of another exception.
        message = redact(message)
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(ProdserverError):
    """Raised when the command line is wrong."""

    returncode = ExitCode.USAGE


class ConfigurationError(ProdserverError):
    """
    Raised when the settings are invalid.

    Args:
        fault: The ID of the check.
        problem: What is wrong, with the value.
        hint: What to do about it.
        where: The place in the settings, which begins the message.
    """

    def __init__(
        self, fault: Fault, problem: str, hint: str = "", where: str = ""
    ) -> None:
        super().__init__(f"{where}{problem}", hint)
        self.fault = fault
        self.problem = redact(problem)
        self.where = where


class UnavailableError(ProdserverError):
    """Raised when a dependency did not become available in time, or was lost."""

    returncode = ExitCode.UNAVAILABLE


class UnknownProcess(ProdserverError):
    """Raised when no process has the requested name."""
