"""Log Celery's tasks, and the lines that Celery prints, in our log format."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals

from django_prodserver.logs import tasks
from django_prodserver.logs.handlers import StdoutHandler


def install() -> None:
    """Connect to Celery's signals for logging and for tasks."""
    receivers = {
        signals.setup_logging: _set_level,
        signals.celeryd_init: _redirect_prints,
        signals.task_prerun: _begin,
        signals.task_success: _succeed,
        signals.task_failure: _fail,
        signals.task_retry: _retry,
        signals.task_postrun: tasks.forget,
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)


def _set_level(loglevel: Any = None, **kwargs: Any) -> None:
    # With a receiver for this signal, Celery keeps the root logger's handlers.
    is_ours = any(isinstance(each, StdoutHandler) for each in logging.root.handlers)
    if is_ours and loglevel:
        logging.root.setLevel(loglevel)


def _redirect_prints(**kwargs: Any) -> None:
    # Celery's signal handlers write directly to standard output's file descriptor.
    from celery.apps import worker

    def safe_say(message: str, *args: Any) -> None:
        for line in filter(None, map(str.strip, message.splitlines())):
            logging.getLogger("celery").info("%s", line)

    module: Any = worker
    module.safe_say = safe_say


def _begin(task_id: str = "", task: Any = None, **kwargs: Any) -> None:
    queue = (task.request.delivery_info or {}).get("routing_key")
    tasks.begin(task_id, task.name, queue)


def _succeed(**kwargs: Any) -> None:
    tasks.end("success")


def _fail(**kwargs: Any) -> None:
    tasks.end("failure")


def _retry(**kwargs: Any) -> None:
    tasks.end("retry")
