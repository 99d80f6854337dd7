"""Log Huey's tasks, and its own lines, in our log format."""

from __future__ import annotations

import logging
from typing import Any

from huey.consumer_options import ConsumerConfig
from huey.contrib.djhuey import HUEY
from huey.exceptions import RetryTask
from huey.signals import SIGNAL_EXECUTING

from django_prodserver.logs import tasks

# Huey's task that runs those of Django; its first argument is the task's path.
_TASK_OF_DJANGO = "djtasks.run"


def install() -> None:
    """Note each task while it is executed; leave the log's handlers as they are."""
    setup_logger = ConsumerConfig.setup_logger

    def set_up_logger(config: Any, logger: Any = None) -> None:
        if config.logfile:
            setup_logger(config, logger)
        elif config.verbose is not None:
            (logger or logging.root).setLevel(config.loglevel)

    # Patches huey, checked with 3.5: it writes each line itself, too.
    ConsumerConfig.setup_logger = set_up_logger
    execute = HUEY.execute

    def execute_and_forget(task: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return execute(task, *args, **kwargs)
        finally:
            tasks.forget()

    # Patches huey, checked with 3.5: no signal comes after a task's last line.
    HUEY.execute = execute_and_forget
    HUEY.signal(SIGNAL_EXECUTING)(_begin)


def _begin(signal: str, task: Any) -> None:
    tasks.begin(task.id, _name(task), HUEY.name)
    execute = task.execute

    def execute_and_end() -> Any:
        try:
            value = execute()
        except Exception as error:
            is_retried = isinstance(error, RetryTask) or task.retries
            tasks.end("retry" if is_retried else "failure")
            raise
        tasks.end("success")
        return value

    # Patches huey, checked with 3.5: its signals about the end come too late.
    task.execute = execute_and_end


def _name(task: Any) -> str:
    if type(task).__name__ == _TASK_OF_DJANGO:
        return str(task.args[0])
    return f"{type(task).__module__}.{type(task).__name__}"
