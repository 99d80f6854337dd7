"""An app that stops the parent process while the first worker is being forked."""

import os
import signal
import time
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class ForkedConfig(AppConfig):
    name = "proj.forked"
    label = "forked"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        os.register_at_fork(after_in_child=_stop_the_parent)


def _stop_the_parent() -> None:
    """Send SIGTERM to the parent, and wait until it is passed on to this child."""
    marker = settings.DATA / "forked"
    if marker.exists():
        return
    marker.touch()
    os.kill(os.getppid(), signal.SIGTERM)
    # With a deadline: a signal that is not blocked is never pending.
    deadline = time.monotonic() + 5
    while signal.SIGTERM not in signal.sigpending() and time.monotonic() < deadline:
        time.sleep(0.01)
