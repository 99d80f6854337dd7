"""Message brokers that ``WAIT_FOR`` can name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


def celery_broker(app: str) -> Callable[[], object]:
    """
    Return a function that raises if the broker of a Celery app does not answer.

    Args:
        app: The app's path, in any form that ``celery -A`` takes.
    """
    from celery.app.utils import find_app

    connection = find_app(app).connection_for_write(connect_timeout=5)
    _ = connection.transport  # imports the transport
    # Each broker of a failover list once, and without kombu's pauses.
    attempts = partial(
        connection.ensure_connection,
        max_retries=max(len(connection.alt) - 1, 0),
        interval_start=0,
        reraise_as_library_errors=False,
    )
    return attempts
