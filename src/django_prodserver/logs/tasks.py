"""
What the workers' own lines about a task lack: its id, name, queue, state, runtime.

Each worker tells by signals what it works on, and writes its lines after them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings

from django_prodserver.logs import context, handlers

_installed: set[Callable[[], None]] = set()


def install() -> None:
    """Listen to the workers that are installed; those that run here will speak."""
    parts: dict[Callable[[], None], bool] = {
        _celery: "celery" in sys.modules,
        _django_tasks: True,
        _django_q2: apps.is_installed("django_q"),
    }
    for part, is_here in parts.items():
        if is_here and part not in _installed:
            _installed.add(part)
            part()


def _begin(*args: Any) -> None:
    context.task.set(context.Task(*args))


def _end(state: str) -> None:
    if task := context.task.get():
        task.end(state)


def _forget(**kwargs: Any) -> None:
    context.task.set(None)


def _celery() -> None:
    from celery import signals

    def set_up(loglevel: Any = None, **kwargs: Any) -> None:
        # That there is a receiver keeps Celery from replacing all handlers.
        ours = any(isinstance(h, handlers.StdoutHandler) for h in logging.root.handlers)
        if ours and loglevel:
            logging.root.setLevel(loglevel)

    def begin(task_id: str = "", task: Any = None, **kwargs: Any) -> None:
        queue = (task.request.delivery_info or {}).get("routing_key")
        _begin(task_id, task.name, queue)

    def say_in_our_words(**kwargs: Any) -> None:
        # It writes to the standard output's file descriptor, for signal handlers.
        worker: Any = import_module("celery.apps.worker")

        def safe_say(message: str, *args: Any) -> None:
            for line in filter(None, map(str.strip, message.splitlines())):
                logging.getLogger("celery").info("%s", line)

        worker.safe_say = safe_say

    receivers = {
        "setup_logging": set_up,
        "celeryd_init": say_in_our_words,
        "task_prerun": begin,
        "task_success": lambda **kwargs: _end("success"),
        "task_failure": lambda **kwargs: _end("failure"),
        "task_retry": lambda **kwargs: _end("retry"),
        "task_postrun": _forget,
    }
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, weak=False)


def _task_packages() -> list[str]:
    """Return Django's own tasks, from 6.0 on, and the backport where it is in use."""
    own, backport = "django.tasks", "django_tasks"
    if find_spec(own) is None:
        return [backport] if find_spec(backport) else []
    # RQ's worker speaks it on every Django. It imports all of the admin, so that
    # nobody pays for it who has it installed and does not use it.
    backends = [each.get("BACKEND", "") for each in settings.TASKS.values()]
    used = any(
        name.startswith(("django_tasks.", "django_tasks_rq.")) for name in backends
    )
    return [own, backport] if used else [own]


def _django_tasks() -> None:
    for package in _task_packages():
        signals = import_module(f"{package}.signals")

        def begin(task_result: Any, **kwargs: Any) -> None:
            task = task_result.task
            _begin(task_result.id, task.module_path, task.queue_name)

        def end(task_result: Any, **kwargs: Any) -> None:
            _end("success" if str(task_result.status) == "SUCCESSFUL" else "failure")

        for signal, receiver in (
            (signals.task_started, begin),
            (signals.task_finished, end),
        ):
            signal.connect(receiver, weak=False)
            # Before the one that writes the line of it.
            signal.receivers.insert(0, signal.receivers.pop())
            signal.sender_receivers_cache.clear()
        # After it.
        signals.task_finished.connect(_forget, weak=False)


def _django_q2() -> None:
    signals = import_module("django_q.signals")

    def begin(task: Any, **kwargs: Any) -> None:
        _begin(task["id"], _named(task["func"]), task.get("cluster"))

    def tell(task: Any, **kwargs: Any) -> None:
        # In the process that writes down what the others have done.
        told = context.Task(task["id"], _named(task["func"]), task.get("cluster"))
        runtime = (task["stopped"] - task["started"]).total_seconds()
        told.end("success" if task["success"] else "failure", runtime)
        told.for_one_line = True
        context.task.set(told)

    for name, receiver in {
        "pre_execute": begin,
        "post_execute_in_worker": _forget,
        "post_execute": tell,
    }.items():
        getattr(signals, name).connect(receiver, weak=False)


def _named(function: Any) -> str:
    if isinstance(function, str):
        return function
    return f"{function.__module__}.{function.__qualname__}"
