"""Log Huey's tasks, and its own lines, in our log format."""

from __future__ import annotations

import logging
from typing import Any

from huey.consumer_options import ConsumerConfig
from huey.contrib.djhuey import HUEY
from huey.exceptions import RetryTask
from huey.signals import SIGNAL_EXECUTING

from django_prodserver.logs import tasks


def install() -> None:
    """Note each task while it is executed; leave the log's handlers as they are."""
    setup_logger = ConsumerConfig.setup_logger

    def set_up_logger(config: Any, logger: Any = None) -> None:
        if config.logfile:
            setup_logger(config, logger)
        elif config.verbose is not None:
            (logger or logging.root).setLevel(config.loglevel)

    ConsumerConfig.setup_logger = set_up_logger
    execute = HUEY.execute

    def execute_and_forget(task: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(task, *args, **kwargs)
        finally:
            tasks.forget()

    HUEY.execute = execute_and_forget
    HUEY.signal(SIGNAL_EXECUTING)(_begin)


def _begin(signal: str, task: Any) -> None:
    name = f"{type(task).__module__}.{type(task).__name__}"
    tasks.begin(task.id, name, HUEY.name)
    execute = task.execute

    # Huey's signals about the end come after its lines about it.
    def execute_and_end() -> Any:
        try:
            value = execute()
        except Exception as error:
            is_retried = isinstance(error, RetryTask) or task.retries
            tasks.end("retry" if is_retried else "failure")
            raise
        tasks.end("success")
        return value

    task.execute = execute_and_end
