"""The parts that RQ's own jobs and Django's tasks on RQ share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django_prodserver.backends.introspection import OptionFile

#: The module that is missing when django-rq is not installed.
PACKAGE = "django_rq"
#: The management command.
COMMAND = "rqworker"
OPTIONS = OptionFile(__package__)
#: The age in seconds at which a heartbeat no longer counts: the loop runs every 5 s.
HEARTBEAT_MAX_AGE = 30
WINDOWS_OBSTACLE = "rq forks a process for each job"


def broker(queues: Sequence[str]) -> Callable[[], object]:
    """Return a function that raises if the Redis of a queue does not answer."""
    from django_rq import get_connection

    connections = [get_connection(name) for name in queues or ["default"]]
    return lambda: [connection.ping() for connection in connections]
