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

    USELESS_KEY = "prodserver.W001", "A key that the server cannot honour."
    UNKNOWN_OPTION = (
        "prodserver.W002",
        "An option in ARGS that the installed server does not know.",
    )
    WRONG_VALUE = (
        "prodserver.W003",
        "A value in ARGS that the installed server does not take.",
    )
    ADDRESS = "prodserver.W004", "A loopback address, in a container."
    DEBUG = "prodserver.W005", "DEBUG is on."
    ALLOWED_HOSTS = "prodserver.W006", "ALLOWED_HOSTS is empty."
    DEVELOPMENT_OPTION = "prodserver.W007", "An option for development, or a debugger."
    ONE_AT_A_TIME = (
        "prodserver.W008",
        "One request at a time, and one that may take long.",
    )
    POOL_TOO_SMALL = (
        "prodserver.W009",
        "More threads than the database's pool has connections.",
    )
    TRUSTS_ANYONE = "prodserver.W010", "Proxy headers believed of anyone."
    HEADER_DELETED = (
        "prodserver.W011",
        "SECURE_PROXY_SSL_HEADER behind Waitress, which deletes the header.",
    )
    LOGGERS_DISABLED = (
        "prodserver.W012",
        "LOGGING that disables the loggers of Django, or of a server.",
    )
    Q2_RETRY = (
        "prodserver.W013",
        "Django-Q2's timeout is not below its retry, so that tasks run twice.",
    )
    Q2_QUEUE_LIMIT = (
        "prodserver.W014",
        "Django-Q2's queue_limit is above its workers: a stop does all that is queued.",
    )
    NOT_PRELOADED = (
        "prodserver.W015",
        "The last start has given up the preload, so workers share nothing.",
    )
    CONNECTIONS = (
        "prodserver.W016",
        "Threads that nobody has asked for, each of which keeps a database connection.",
    )
    #: Info: either may be meant.
    LOG_FORMAT = (
        "prodserver.I002",
        "Whose format the log has, where LOGGING has a console handler.",
    )
    #: Info instead of a warning: the settings do not show whether there are replicas.
    SQLITE = "prodserver.I001", "SQLite, which replicas cannot share."
    NO_MIDDLEWARE = (
        "prodserver.W020",
        "PRODSERVER_HEALTH without the middleware that answers.",
    )
    MIDDLEWARE_NOT_FIRST = (
        "prodserver.W021",
        "The health middleware is not the first of MIDDLEWARE.",
    )
