"""Gunicorn's upgrade: SIGUSR2 starts a second master, which takes over."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any

from gunicorn.arbiter import Arbiter

from django_prodserver.config.context import Context
from django_prodserver.health import state


def start_with_launcher() -> None:
    """
    Start the second master as the first one was started.

    On its own, Gunicorn would run its own command, which does not preload.
    """
    native = Arbiter.reexec

    def reexec(self: Any) -> None:
        words = [sys.executable, *sys.orig_argv[1:]]
        self.START_CTX = {**self.START_CTX, 0: sys.executable, "args": words}
        native(self)

    # Patches gunicorn, checked with 27.0: no hook before it executes a new master.
    Arbiter.reexec = reexec


def take_over_state() -> None:
    """
    Let the probe know a second master that our launcher has not started.

    It counts once the first master has ended.
    """
    context = Context.from_environment()
    # Gunicorn's variable is there for the workers, too, and after it has taken over.
    if not (context and context.state_file and os.environ.get("GUNICORN_PID")):
        return
    known = state.read(context.state_file)
    if known and str(known.pid) == os.environ["GUNICORN_PID"]:
        file = state.take_over(context.state_file)
        dataclasses.replace(context, state_file=file or "").put_into_environment()
