"""An app whose first fork stops its parent, before the child has its handlers."""

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
    """Return when the parent, which stops, has passed the signal on."""
    marker = settings.DATA / "forked"
    if marker.exists():
        return
    marker.touch()
    os.kill(os.getppid(), signal.SIGTERM)
    # Not for ever: where it is not held back, it is never seen to be pending.
    deadline = time.monotonic() + 5
    while signal.SIGTERM not in signal.sigpending() and time.monotonic() < deadline:
        time.sleep(0.01)
