"""What the parent process of Dramatiq passes on to its worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

#: The states of a worker process, in ``Setup.beats``.
STARTING, CONNECTED, DISCONNECTED = range(3)
#: Before anything replaces it: every process of the worker imports this first.
native_execvp: Callable[[str, list[str]], NoReturn] = os.execvp


@dataclass
class Setup:
    """
    What is installed in the processes of a worker.

    Attributes:
        is_preloaded: Whether this process has loaded the application for its forks.
        has_heartbeat: Whether the parent writes a heartbeat.
        has_task_log: Whether log lines have the task's fields, and our format.
        seconds: ``GRACEFUL_TIMEOUT``.
        beats: Shared memory: two numbers for each worker process, see ``Beats``.
    """

    is_preloaded: bool = False
    has_heartbeat: bool = False
    has_task_log: bool = False
    seconds: float = 25
    beats: Any = None
