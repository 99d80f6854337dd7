"""The work itself, the same whichever queue brings it."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

from django.utils import timezone

from paperwork.documents import conf
from paperwork.documents.analysis import STAGES, NothingToRead, Text
from paperwork.documents.models import Document

logger = logging.getLogger(__name__)


def analyse_document(document_id: str) -> None:
    """
    Analyse one document, stage by stage, and save the result with it.

    Running it twice does no harm, which matters because every queue delivers
    a job again when it is not sure that the worker lived.
    """
    document = Document.objects.filter(pk=document_id).first()
    if document is None:
        logger.warning("Document %s is gone; nothing to analyse", document_id)
        return
    document.mark_running()
    try:
        result = _run_stages(document)
    except NothingToRead as reason:
        document.mark_failed(str(reason))
    except BaseException as reason:
        # BaseException, because a worker that is made to stop at once leaves
        # by SystemExit, and the page should not say "running" for ever.
        stopped = not isinstance(reason, Exception)
        document.mark_failed(
            "The worker was stopped before it was finished."
            if stopped
            else "Something went wrong. The worker's log says what."
        )
        raise
    else:
        if result is not None:
            document.mark_done(result)
            logger.info("Document %s analysed", document_id)


def _run_stages(document: Document) -> dict[str, Any] | None:
    """Run every stage; None when the document was deleted meanwhile."""
    text = Text(document.text)
    result: dict[str, Any] = {}
    for number, stage in enumerate(STAGES, start=1):
        result[stage.key] = stage.run(text)
        time.sleep(conf.stage_pause())
        if not document.mark_stage_done(number):
            logger.warning("Document %s was deleted while it was read", document.pk)
            return None
    return result


def forget_old_documents() -> None:
    """Delete the documents that are older than the project keeps them."""
    oldest = timezone.now() - timedelta(days=conf.keep_days())
    count, _ = Document.objects.filter(created_at__lt=oldest).delete()
    logger.info("%d old documents forgotten", count)
