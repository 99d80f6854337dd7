"""Put a task on a queue, as an application would."""

from __future__ import annotations

import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue")
        parser.add_argument("names", nargs="+")
        parser.add_argument("--seconds", type=float, default=0)
        parser.add_argument("--on", help="The name of the queue at the broker.")

    def handle(self, **options: Any) -> None:
        for name in options["names"]:
            _enqueue(options["queue"], name, options["seconds"], options["on"])


def _enqueue(queue: str, name: str, seconds: float, on: str | None) -> None:
    if queue == "celery" or queue == "celery-late":
        import proj.celery  # noqa: F401  # makes it the current app
        from proj.jobs import celery_tasks

        late = queue == "celery-late"
        task = celery_tasks.mark_late if late else celery_tasks.mark
        task.apply_async((name, seconds), queue=on)
    elif queue == "celery-loop":
        from proj.celery import app

        app.control.broadcast("hang", arguments={"seconds": seconds})
    elif queue == "dramatiq":
        from proj.jobs.dramatiq_tasks import ON

        ON[on or "default"].send(name, seconds)
    elif queue == "procrastinate":
        from proj.jobs import procrastinate_tasks

        task = procrastinate_tasks.mark.configure(queue=on or "default")
        task.defer(name=name, seconds=seconds)
    elif queue == "q2":
        from django_q.tasks import async_task

        async_task("proj.jobs.work.mark", name, seconds)
    elif queue == "huey":
        from proj.jobs import huey_tasks

        huey_tasks.mark(name, seconds)
    elif queue == "rq":
        import django_rq

        django_rq.get_queue(on or "default").enqueue(
            "proj.jobs.work.mark", name, seconds
        )
    elif queue == "rq-scheduled":
        import django_rq

        in_one_second = datetime.timedelta(seconds=1)
        django_rq.get_queue(on or "default").enqueue_in(
            in_one_second, "proj.jobs.work.mark", name, seconds
        )
    else:
        from proj.jobs.tasks import mark

        (mark.using(queue_name=on) if on else mark).enqueue(name, seconds)
