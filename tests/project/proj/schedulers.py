"""A scheduler as others write one, with a loop of its own."""

import time
from typing import Any

from celery.beat import Scheduler
from django.conf import settings


class Sleepy(Scheduler):
    """It wants to be asked each five minutes; and hangs, if a test wants that."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        with (settings.DATA / "ticks").open("a") as file:
            file.write("tick\n")
        if (settings.DATA / "hang").exists():
            time.sleep(600)
        return 1 if settings.HURRY else 300
