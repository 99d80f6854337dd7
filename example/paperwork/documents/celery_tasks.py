"""The job as a Celery task (EXAMPLE_QUEUE=celery), and the periodic one."""

from paperwork.celery import app
from paperwork.documents import jobs


# Bound to the app by name: a web process that only knows @shared_task would
# send the job to Celery's default broker.
@app.task
def analyse_document(document_id: str) -> None:
    jobs.analyse_document(document_id)


@app.task
def forget_old_documents() -> None:
    jobs.forget_old_documents()
