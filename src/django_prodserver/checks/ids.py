"""IDs of system-check warnings."""

from __future__ import annotations

from django_prodserver.exceptions import CheckId


class WarningId(CheckId):
    """
    The ID of a system-check warning, with its meaning.

    A number is never reused. The IDs from ``ADDRESS`` to ``SQLITE`` belong to
    ``manage.py check --deploy``.
    """

    @property
    def deploy_only(self) -> bool:
        """Whether a plain ``manage.py check`` does not report it."""
        members = list(WarningId)
        first, last = map(members.index, (WarningId.ADDRESS, WarningId.SQLITE))
        return first <= members.index(self) <= last

    USELESS_KEY = "prodserver.W001", "A key that the server does not support."
    UNKNOWN_OPTION = (
        "prodserver.W002",
        "An option in ARGS that the installed server does not have.",
    )
    WRONG_VALUE = (
        "prodserver.W003",
        "A value in ARGS that the installed server rejects.",
    )
    ADDRESS = "prodserver.W004", "A container listens on a loopback address."
    DEBUG = "prodserver.W005", "DEBUG is True."
    ALLOWED_HOSTS = "prodserver.W006", "ALLOWED_HOSTS is empty."
    DEVELOPMENT_OPTION = "prodserver.W007", "A development option or a debugger is on."
    ONE_AT_A_TIME = (
        "prodserver.W008",
        "The server handles one request at a time, and allows long ones.",
    )
    POOL_TOO_SMALL = (
        "prodserver.W009",
        "A process has more threads than the database's pool has connections.",
    )
    TRUSTS_ANYONE = "prodserver.W010", "Proxy headers are trusted from any client."
    HEADER_DELETED = (
        "prodserver.W011",
        "Waitress removes the header that SECURE_PROXY_SSL_HEADER needs.",
    )
    LOGGERS_DISABLED = (
        "prodserver.W012",
        "LOGGING disables the loggers of Django or of a server.",
    )
    Q2_RETRY = (
        "prodserver.W013",
        "Django-Q2's timeout is not below its retry, so tasks can run twice.",
    )
    Q2_QUEUE_LIMIT = (
        "prodserver.W014",
        "Django-Q2's queue_limit is above its workers, so stopping takes longer.",
    )
    NOT_PRELOADED = (
        "prodserver.W015",
        "The last start could not preload the application.",
    )
    CONNECTIONS = (
        "prodserver.W016",
        "Each thread keeps a database connection, and THREADS is only a default.",
    )
    #: Info, because either format may be intended.
    LOG_FORMAT = (
        "prodserver.I002",
        "LOGGING has a console handler: which log format applies, and why.",
    )
    #: Info instead of a warning: the settings do not show whether there are replicas.
    SQLITE = "prodserver.I001", "Replicas cannot share an SQLite database."
    NO_MIDDLEWARE = (
        "prodserver.W020",
        "PRODSERVER_HEALTH is set, but HealthMiddleware is missing.",
    )
    MIDDLEWARE_NOT_FIRST = (
        "prodserver.W021",
        "HealthMiddleware is not first in MIDDLEWARE.",
    )
