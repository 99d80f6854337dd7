"""Log Celery's tasks, and the lines that Celery prints, in our log format."""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler
from typing import Any

from celery import current_app, signals
from celery.utils.log import ColorFormatter

from django_prodserver.logs import project_console, tasks
from django_prodserver.logs.handlers import StdoutHandler
from django_prodserver.process import bootstrap

_LOGFILE = "prodserver_logfile"


def install() -> None:
    """Connect to Celery's signals for logging and for tasks."""
    receivers = {
        signals.setup_logging: _set_up_logging,
        signals.celeryd_init: _prepare_worker,
        signals.task_prerun: _begin,
        signals.task_success: _succeed,
        signals.task_failure: _fail,
        signals.task_retry: _retry,
        signals.task_postrun: tasks.forget,
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)


def _set_up_logging(**details: Any) -> None:
    """
    Do what Celery itself does, with the handlers that the root logger has.

    Celery does nothing if this signal has a receiver. A receiver of the project's
    replaces all that, too, and has been called before this one.
    """
    root = logging.root
    is_ours_alone = len(signals.setup_logging.receivers) == 1
    if is_ours_alone:
        # Without the signal's own two arguments, signal and sender.
        for name in ("signal", "sender"):
            details.pop(name, None)
        if details.get("logfile"):
            _add_file_handler(**details)
        sending: Any = {"sender": None, **details}
        signals.after_setup_logger.send(logger=root, **sending)
        task_logger = logging.getLogger("celery.task")
        signals.after_setup_task_logger.send(logger=task_logger, **sending)
    bootstrap.prepare()
    is_ours = any(isinstance(each, StdoutHandler) for each in root.handlers)
    if is_ours and details.get("loglevel") and not project_console.has_root_level():
        root.setLevel(details["loglevel"])


def _add_file_handler(logfile: str, format: str, **kwargs: Any) -> None:
    """Write to ``--logfile``, too, as Celery does; its own format stays."""
    root = logging.root
    for handler in root.handlers[:]:
        if handler.name == _LOGFILE:  # of the parent: a child may have its own file
            root.removeHandler(handler)
    handler = WatchedFileHandler(logfile, encoding="utf-8")
    formatter = ColorFormatter(format, use_color=False)
    formatter.datefmt = getattr(current_app.log, "datefmt", None)
    handler.setFormatter(formatter)
    handler.name = _LOGFILE
    root.addHandler(handler)


def _prepare_worker(**kwargs: Any) -> None:
    _redirect_prints()
    # After the project's, which may have been connected later.
    signals.setup_logging.disconnect(_set_up_logging)
    signals.setup_logging.connect(_set_up_logging, weak=False)


def _redirect_prints() -> None:
    # Celery's signal handlers write directly to standard output's file descriptor.
    from celery.apps import worker

    def safe_say(message: str, *args: Any) -> None:
        for line in filter(None, map(str.strip, message.splitlines())):
            logging.getLogger("celery").info("%s", line)

    module: Any = worker
    # Patches celery, checked with 5.7: no issue about it is known.
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
