"""The errors a user is meant to see, and the exit codes that go with them."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What ``prodserver`` exits with when it is not the server that exits."""

    USAGE = 2
    UNAVAILABLE = 69
    CONFIGURATION = 78


class Fault(enum.StrEnum):
    """
    What can be wrong with the settings: each a system check's id.

    A number is never used again, not even that of a fault that is gone.
    """

    NOT_A_DICT = "prodserver.E001"
    EMPTY = "prodserver.E002"
    BAD_NAME = "prodserver.E003"
    SPEC_NOT_A_DICT = "prodserver.E004"
    NO_BACKEND = "prodserver.E005"
    BACKEND_NOT_IMPORTABLE = "prodserver.E006"
    NOT_A_BACKEND = "prodserver.E007"
    NOT_INSTALLED = "prodserver.E008"
    UNKNOWN_KEY = "prodserver.E009"
    BAD_ARGS = "prodserver.E010"
    BAD_VALUE = "prodserver.E011"
    BAD_APP = "prodserver.E012"
    NO_APPLICATION = "prodserver.E013"
    APP_NOT_INSTALLED = "prodserver.E014"
    #: No check can say it: there are no settings to check.
    NO_SETTINGS = "prodserver.E015"
    BAD_HEALTH = "prodserver.E016"


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
