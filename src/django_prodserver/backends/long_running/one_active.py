"""Run one replica of a management command at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from django_prodserver.backends.singleton import Singleton


def install(singleton: Singleton, on_active: Callable[[], None]) -> None:
    """
    Run the command only once this replica is active.

    What the command sends cannot be checked one by one, as with a scheduler. So the
    process ends at once when its lock is lost.

    Args:
        singleton: The process, of which one replica is active.
        on_active: Called when this replica becomes active.
    """
    # Patches django, checked with 6.1: a command has no hook around its run.
    command: Any = BaseCommand
    run_from_argv = command.run_from_argv

    def wait_and_run(self: BaseCommand, argv: list[str]) -> None:
        command.run_from_argv = run_from_argv
        singleton.wait()
        singleton.watch()
        on_active()
        run_from_argv(self, argv)

    command.run_from_argv = wait_and_run
