"""Tasks for Django's own framework, and functions for Django-Q2."""

from django.tasks import task


@task
def confirm(order: int) -> str:
    return f"order {order} is confirmed"


def ship(order: int) -> str:
    return f"order {order} is shipped"
