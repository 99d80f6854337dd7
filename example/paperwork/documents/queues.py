"""How a job gets to a worker: the one place that knows the queues apart."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from paperwork.documents import conf
from paperwork.documents.models import Document

logger = logging.getLogger(__name__)


# Each imports its queue when it is used, because only the chosen one has to be
# installed.


def _to_tasks(document_id: str) -> None:
    from paperwork.documents.tasks import analyse_document

    analyse_document.enqueue(document_id)


def _to_celery(document_id: str) -> None:
    from paperwork.documents.celery_tasks import analyse_document

    analyse_document.delay(document_id)


def _to_q2(document_id: str) -> None:
    from django_q.tasks import async_task

    async_task("paperwork.documents.jobs.analyse_document", document_id)


class Queue(NamedTuple):
    """
    A queue that can be chosen with EXAMPLE_QUEUE.

    Args:
        label: What people call it.
        process: The name in PRODUCTION_PROCESSES of the worker it needs.
        send: Hands the job over.
    """

    label: str
    process: str
    send: Callable[[str], None]


QUEUES = {
    "tasks": Queue("Django Tasks", "worker", _to_tasks),
    "celery": Queue("Celery", "celery", _to_celery),
    "q2": Queue("Django Q2", "q2", _to_q2),
}


def current() -> Queue:
    return QUEUES[conf.job_queue()]


def submit(document: Document) -> None:
    """
    Queue the analysis of a saved document.

    There is no transaction around a request here, so the worker can already
    read the document; with ATOMIC_REQUESTS this would need on_commit().
    """
    queue = current()
    document.mark_queued(queue.label)
    try:
        queue.send(str(document.pk))
    except Exception:
        # A broker that is down is no reason to lose what the visitor wrote:
        # the document is kept, and its page offers to try again.
        logger.exception("Document %s could not be queued", document.pk)
        document.mark_failed(
            f"The queue ({queue.label}) does not take jobs at the moment. "
            "Your text is kept: try again in a minute."
        )
