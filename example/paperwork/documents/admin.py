"""Documents in the admin: to look at, to delete, and to analyse again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from paperwork.documents import queues
from paperwork.documents.models import Document

if TYPE_CHECKING:
    # Django's own class takes no type parameter.
    DocumentModelAdmin = admin.ModelAdmin[Document]
else:
    DocumentModelAdmin = admin.ModelAdmin


@admin.register(Document)
class DocumentAdmin(DocumentModelAdmin):
    list_display = (
        "title",
        "status",
        "words",
        "language",
        "took",
        "queue",
        "created_at",
    )
    list_filter = ("status", "queue")
    search_fields = ("title", "text")
    date_hierarchy = "created_at"
    actions = ("analyse_again",)
    fieldsets = (
        (None, {"fields": ("title", "created_at", "text")}),
        (
            "Job",
            {
                "fields": (
                    "status",
                    "stages_done",
                    "queue",
                    "worker",
                    "started_at",
                    "finished_at",
                    "error",
                )
            },
        ),
        ("Result", {"fields": ("pretty_result",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).defer("text")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Document | None = None
    ) -> bool:
        # The list needs it for its action; a document itself is read-only.
        return obj is None and super().has_change_permission(request, obj)

    @admin.display(description="words")
    def words(self, document: Document) -> int | None:
        return document.result["counts"]["words"] if document.result else None

    @admin.display(description="language")
    def language(self, document: Document) -> str | None:
        return document.result["language"]["name"] if document.result else None

    @admin.display(description="took")
    def took(self, document: Document) -> str | None:
        duration = document.duration
        return f"{duration.total_seconds():.1f} s" if duration is not None else None

    @admin.display(description="result")
    def pretty_result(self, document: Document) -> SafeString | str:
        if document.result is None:
            return "-"
        pretty = json.dumps(document.result, indent=2, ensure_ascii=False)
        return format_html('<pre style="white-space: pre-wrap">{}</pre>', pretty)

    @admin.action(description="Analyse again", permissions=["change"])
    def analyse_again(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        documents = [document for document in queryset if document.is_finished]
        for document in documents:
            queues.submit(document)
        messages.success(request, f"{len(documents)} documents queued.")
