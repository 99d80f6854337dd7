"""The pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from paperwork.documents import charts, conf, queues
from paperwork.documents.analysis import STAGES
from paperwork.documents.forms import DocumentForm
from paperwork.documents.models import Document
from paperwork.documents.samples import SAMPLES

RECENT = 8


def front_page(request: HttpRequest) -> HttpResponse:
    """Take a text, and list the last ones."""
    if request.method == "POST":
        form = DocumentForm(request.POST, request.FILES)
        if form.is_valid():
            document = form.save()
            queues.submit(document)
            return redirect(document)
    else:
        sample = SAMPLES.get(request.GET.get("sample", ""))
        form = DocumentForm(initial={"text": sample.read()} if sample else None)
    context = {
        "form": form,
        "samples": SAMPLES,
        "max_bytes": conf.max_bytes(),
        "max_kilobytes": conf.max_bytes() // 1000,
        "recent": Document.objects.defer("text")[:RECENT],
    }
    status = 422 if form.errors else 200
    return render(request, "documents/front_page.html", context, status=status)


@require_safe
@never_cache
def document_page(request: HttpRequest, pk: UUID) -> HttpResponse:
    document = get_object_or_404(Document, pk=pk)
    return render(request, "documents/document.html", _context(document))


@require_GET
@never_cache
async def progress(request: HttpRequest, pk: UUID) -> JsonResponse:
    """Say how far a job is; the document's page asks this until it is finished."""
    document = await Document.objects.defer("text", "result").filter(pk=pk).afirst()
    if document is None:
        return JsonResponse({"error": "There is no such document."}, status=404)
    return JsonResponse(
        {
            "status": document.status,
            "label": Document.Status(document.status).label,
            "stage": document.stage_name,
            "stages_done": document.stages_done,
            "progress": document.progress,
            "finished": document.is_finished,
        }
    )


@require_GET
@never_cache
def result(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the part of the document's page that a finished job changes."""
    document = get_object_or_404(Document, pk=pk)
    return render(request, "documents/_outcome.html", _context(document))


@require_POST
def again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queue a finished job once more, for instance one that failed."""
    document = get_object_or_404(Document, pk=pk)
    if document.is_finished:
        queues.submit(document)
    return redirect(document)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """
    Answer what Django itself turns away.

    For a person it can only be a text far over the limit: Django stops reading
    a form at DATA_UPLOAD_MAX_MEMORY_SIZE, before any view sees it.
    """
    context = {"max_kilobytes": conf.max_bytes() // 1000}
    return render(request, "400.html", context, status=400)


def _context(document: Document) -> dict[str, Any]:
    context: dict[str, Any] = {
        "document": document,
        "stages": STAGES,
        "worker": queues.current().process,
    }
    if document.result:
        duration = document.duration
        context |= {
            "result": document.result,
            "took": f"{duration.total_seconds():.1f}" if duration else "",
            "reading_time": charts.reading_time(document.result["counts"]),
            "terms": charts.term_bars(document.result["terms"]),
            "rhythm": charts.rhythm_bars(document.result["sentences"]),
            "rhythm_width": 10 * len(document.result["sentences"]["rhythm"]) - 3,
            "readability_percent": charts.readability_percent(
                document.result["readability"]
            ),
        }
    return context
