try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

from proj.jobs import work


@task
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)
