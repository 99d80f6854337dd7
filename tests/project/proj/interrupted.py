"""An app that sends SIGTERM to its own process when ``INTERRUPT`` says: claim, fork."""

import os
import signal
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_save


class InterruptedConfig(AppConfig):
    name = "proj.interrupted"
    label = "interrupted"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        if settings.INTERRUPT == "claim":
            post_save.connect(_interrupt_after_claim, weak=False)
        elif settings.INTERRUPT == "fork":
            parent = os.getpid()
            os.register_at_fork(after_in_child=lambda: _interrupt_child_of(parent))


def _interrupt_after_claim(sender: Any, instance: Any, **kwargs: Any) -> None:
    if sender.__name__ == "DBTaskResult" and instance.status == "RUNNING":
        transaction.on_commit(_interrupt)


def _interrupt_child_of(parent: int) -> None:
    if os.getppid() == parent:
        _interrupt()


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
