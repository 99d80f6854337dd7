"""Log Celery's tasks, and what Celery prints, as all other lines."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals

from django_prodserver.logs import tasks
from django_prodserver.logs.handlers import StdoutHandler


def install() -> None:
    """Connect to Celery's signals, those of its logging and those of its tasks."""
    receivers = {
        signals.setup_logging: _set_level,
        signals.celeryd_init: _log_what_is_printed,
        signals.task_prerun: _begin,
        signals.task_success: _succeed,
        signals.task_failure: _fail,
        signals.task_retry: _retry,
        signals.task_postrun: tasks.forget,
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)


def _set_level(loglevel: Any = None, **kwargs: Any) -> None:
    # With a receiver for this signal, Celery does not replace the root's handlers.
    is_ours = any(isinstance(each, StdoutHandler) for each in logging.root.handlers)
    if is_ours and loglevel:
        logging.root.setLevel(loglevel)


def _log_what_is_printed(**kwargs: Any) -> None:
    # Celery's signal handlers write to the standard output's file descriptor.
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
