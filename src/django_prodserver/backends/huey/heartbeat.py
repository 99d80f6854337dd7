"""Heartbeat of Huey's consumer, written by the loop that watches its workers."""

from __future__ import annotations

import time
from typing import Any

from huey.consumer import Consumer

from django_prodserver.health.heartbeat import beat

# Seconds between two checks of the storage.
_STORAGE_INTERVAL = 5.0


def install_heartbeat() -> None:
    """Make the consumer's loop beat on each turn; shutdown.py beats at a stop."""
    consumer: Any = Consumer
    loop = consumer.loop
    is_reached, checked_at = False, 0.0

    def beat_and_loop(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal is_reached, checked_at
        if not checked_at or time.monotonic() - checked_at >= _STORAGE_INTERVAL:
            is_reached = _is_reached(self.huey.storage)
            if self.environment.forks:
                # A worker that is replaced must not inherit the connection.
                self.huey.storage.close()
            checked_at = time.monotonic()
        if is_reached:
            beat("ready")
        else:
            beat("starting", "no connection to the storage")
        return loop(self, *args, **kwargs)

    # Patches huey, checked with 3.5: its loop has no hook.
    consumer.loop = beat_and_loop


def _is_reached(storage: Any) -> bool:
    """Tell whether the storage answers."""
    try:
        storage.queue_size()
    except Exception:  # of any class, depending on the storage
        return False
    return True
