"""What is no fault, but will not do what it looks like, or not in production."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Caution(enum.StrEnum):
    """
    What a check warns of: each a system check's id.

    A number is never used again. From ``ADDRESS`` on they are for
    ``manage.py check --deploy``.
    """

    USELESS_KEY = "prodserver.W001"
    UNKNOWN_OPTION = "prodserver.W002"
    WRONG_VALUE = "prodserver.W003"
    ADDRESS = "prodserver.W004"
    DEBUG = "prodserver.W005"
    ALLOWED_HOSTS = "prodserver.W006"
    DEVELOPMENT_OPTION = "prodserver.W007"
    ONE_AT_A_TIME = "prodserver.W008"
    POOL_TOO_SMALL = "prodserver.W009"
    TRUSTS_ANYONE = "prodserver.W010"
    HEADER_DELETED = "prodserver.W011"
    LOGGERS_DISABLED = "prodserver.W012"
    Q2_RETRY = "prodserver.W013"
    Q2_QUEUE_LIMIT = "prodserver.W014"
    #: An information: it depends on what no settings say.
    SQLITE = "prodserver.I001"


class Finding(NamedTuple):
    """
    What is worth a warning.

    Args:
        caution: Which.
        message: What it is, after the process's name; one line.
        hint: What to do about it; one line.
    """

    caution: Caution
    message: str
    hint: str = ""
