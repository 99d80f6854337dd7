"""Tasks for Celery."""

from celery import shared_task


@shared_task
def confirm(order: int) -> str:
    return f"order {order} is confirmed"
