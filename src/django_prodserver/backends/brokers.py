"""Message brokers that ``WAIT_FOR`` can name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

# Seconds for all brokers of a failover list; launch.wait_for allows 10 per attempt.
_TIMEOUT = 8.0
_KINDS = {
    **dict.fromkeys(("redis", "rediss", "valkey", "sentinel"), "redis"),
    **dict.fromkeys(("amqp", "amqps", "pyamqp", "librabbitmq"), "rabbitmq"),
}


def celery_broker(app: str) -> Callable[[], object]:
    """
    Return a function that raises if the broker of a Celery app does not answer.

    Args:
        app: The app's path, in any form that ``celery -A`` accepts.
    """
    from celery.app.utils import find_app

    connection = celery_connection(find_app(app))
    _ = connection.transport  # imports the transport
    return partial(connect_to_celery, connection)


def celery_kind(app: str) -> str:
    """Return the kind of a Celery app's broker; "" if the app cannot be imported."""
    try:
        from celery.app.utils import find_app

        return kind_of(celery_connection(find_app(app)).as_uri())
    except Exception:  # the app is the project's: it may raise anything
        return ""


def kind_of(url: str) -> str:
    """Return "redis" or "rabbitmq" for a broker's URL; "" for other brokers."""
    scheme = url.partition(":")[0].partition("+")[0]
    return _KINDS.get(scheme, "")


def celery_connection(app: Any) -> Any:
    """Return a connection of a Celery app that gives each broker a limited time."""
    native = app.connection_for_write()
    seconds = _TIMEOUT / max(len(native.alt), 1)
    options = {}
    if native.transport.driver_type == "redis":  # which ignores the limit below
        options = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
    return app.connection_for_write(
        connect_timeout=seconds,
        transport_options=options | (native.transport_options or {}),
    )


def connect_to_celery(connection: Any) -> None:
    """Connect to the first broker that answers, as a worker does; raise if none."""
    # Each broker of a failover list once, and without kombu's pauses.
    connection.ensure_connection(
        max_retries=max(len(connection.alt) - 1, 0),
        interval_start=0,
        reraise_as_library_errors=False,
    )
