from celery import shared_task

from proj.jobs import work


@shared_task
def mark(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)


@shared_task(acks_late=True)
def mark_late(name: str, seconds: float = 0) -> str:
    return work.mark(name, seconds)
