"""
The loop of django-tasks-db's worker.

Natively a database that goes away ends it. Here it waits for the one that it has
worked with: it is alive, and not ready, until that is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, connections
from django_tasks_db.management.commands import db_worker

from django_prodserver.health.heartbeat import beat

logger = logging.getLogger("django_tasks_db")
# Seconds from one try to the next, while there is no database.
_PAUSE = 2


def install_heartbeat() -> None:
    module: Any = db_worker
    worker = module.Worker
    transaction = module.exclusive_transaction
    run, run_task, shutdown = worker.run, worker.run_task, worker.shutdown
    #: None before the first answer: what has none then is set up wrong.
    answers: bool | None = None

    # The loop asks for a task within one.
    @contextmanager
    def ask_and_beat(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal answers
        with transaction(*args, **kwargs) as found:
            yield found
        answers = True
        beat("ready")

    def beat_and_run_task(self: Any, *args: Any, **kwargs: Any) -> None:
        beat("busy")
        run_task(self, *args, **kwargs)
        beat("ready")

    def run_again(self: Any) -> None:
        nonlocal answers
        while True:
            try:
                run(self)
                return
            except (InterfaceError, OperationalError) as error:
                if answers is None or not self.running:
                    raise
                beat("starting", "no connection to the database")
                if answers:
                    logger.error("The database is away, waiting for it: %s", error)
                answers = False
            connections.close_all()
            time.sleep(_PAUSE)

    def drain_and_shutdown(self: Any, *args: Any, **kwargs: Any) -> None:
        beat("draining")
        shutdown(self, *args, **kwargs)

    module.exclusive_transaction = ask_and_beat
    worker.run, worker.run_task = run_again, beat_and_run_task
    worker.shutdown = drain_and_shutdown
