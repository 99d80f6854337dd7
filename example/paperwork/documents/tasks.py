"""The job as a Django task (EXAMPLE_QUEUE=tasks)."""

from typing import TYPE_CHECKING

import django

from paperwork.documents import jobs

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task
def analyse_document(document_id: str) -> None:
    jobs.analyse_document(document_id)
