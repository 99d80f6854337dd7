"""
Keep one replica of Celery's scheduler active at a time.

A replica creates its scheduler only when it becomes active, so that it reads what the
previous replica has stored.
"""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler, Service

from django_prodserver.backends.singleton import Singleton


def install(singleton: Singleton) -> None:
    """Create the scheduler only once this replica is active."""
    service_class: Any = Service
    create = service_class.get_scheduler

    def create_in_turn(service: Any, lazy: bool = False, **kwargs: Any) -> Any:
        if lazy:  # for the banner
            return create(service, lazy, **kwargs)
        singleton.wait()
        scheduler = create(service, lazy, **kwargs)
        if singleton.waited and isinstance(scheduler, PersistentScheduler):
            _start_from_now(scheduler)
        _fence(scheduler, singleton)
        return scheduler

    # Patches celery, checked with 5.7: https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html
    service_class.get_scheduler = create_in_turn


def _fence(scheduler: Any, singleton: Singleton) -> None:
    """Check before each task is sent that this replica is still the active one."""
    send = scheduler.apply_async

    def send_if_active(*args: Any, **kwargs: Any) -> Any:
        singleton.check()
        # Store this task first: otherwise the next replica would send it again.
        scheduler.sync()
        singleton.check()
        return send(*args, **kwargs)

    # Patches celery, checked with 5.7: https://docs.celeryq.dev/en/stable/userguide/periodic-tasks.html
    scheduler.apply_async = send_if_active


def _start_from_now(scheduler: Any) -> None:
    """Forget when tasks were last sent, because this replica's file is out of date."""
    for entry in scheduler.schedule.values():
        entry.last_run_at = entry.default_now()
