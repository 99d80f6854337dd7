"""Send SIGTERM to the process that loads the project, at the moment a test names."""

import os
import signal
from pathlib import Path

from django.apps import AppConfig


def reached(moment: str) -> None:
    """Stop this process if ``TEST_STOP_AT`` names the moment."""
    if os.environ.get("TEST_STOP_AT") == moment:
        os.kill(os.getpid(), signal.SIGTERM)


class MomentsConfig(AppConfig):
    name = "proj.moments"
    label = "moments"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        reached("ready")
