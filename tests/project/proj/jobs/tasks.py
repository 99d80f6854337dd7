import contextlib

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

from proj.jobs import work

with contextlib.suppress(ImportError):
    from proj.jobs import huey_tasks  # noqa: F401  # Huey looks for tasks here


@task
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)


@task
def tick() -> None:
    """Need no arguments, as a task of --compare."""
