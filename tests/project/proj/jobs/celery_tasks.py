import time
from typing import Any

from celery import shared_task
from celery.worker.control import control_command

from proj.jobs import work


@shared_task
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)


@shared_task(acks_late=True)
def mark_late(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)


@shared_task
def tick() -> None:
    """Need no arguments, as a task of --compare."""


@control_command(args=[("seconds", float)])
def hang(state: Any, seconds: float) -> None:
    """Keep the worker's own loop, and none of its tasks."""
    time.sleep(seconds)
