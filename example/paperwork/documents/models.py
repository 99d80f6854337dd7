"""A document and what became of it."""

from __future__ import annotations

import os
import platform
import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.db import models
from django.urls import reverse
from django.utils import timezone

from paperwork.documents.analysis import STAGES


class Document(models.Model):
    """A text that a visitor handed in, the state of its job, and the result."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    # Not a number: anyone with the address can read the page.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=120)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.QUEUED
    )
    queue = models.CharField(max_length=40, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    stages_done = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)

    objects: ClassVar[models.Manager[Document]] = models.Manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("documents:document", args=[self.pk])

    @property
    def is_finished(self) -> bool:
        return self.status in {self.Status.DONE, self.Status.FAILED}

    @property
    def stage_name(self) -> str:
        """What a running job is doing now."""
        if self.status != self.Status.RUNNING:
            return ""
        return STAGES[min(self.stages_done, len(STAGES) - 1)].name

    @property
    def progress(self) -> int:
        """How far the job is, in percent."""
        return round(100 * self.stages_done / len(STAGES))

    @property
    def duration(self) -> timedelta | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    def mark_queued(self, queue: str) -> None:
        self._change(
            status=self.Status.QUEUED,
            queue=queue,
            worker="",
            stages_done=0,
            started_at=None,
            finished_at=None,
            result=None,
            error="",
        )

    def mark_running(self) -> None:
        self._change(
            status=self.Status.RUNNING,
            worker=f"{platform.node()}, process {os.getpid()}",
            stages_done=0,
            started_at=timezone.now(),
        )

    def mark_stage_done(self, number: int) -> bool:
        """Note that so many stages are done; False if the document is gone."""
        return self._change(stages_done=number)

    def mark_done(self, result: dict[str, Any]) -> None:
        self._change(status=self.Status.DONE, result=result, finished_at=timezone.now())

    def mark_failed(self, error: str) -> None:
        self._change(status=self.Status.FAILED, error=error, finished_at=timezone.now())

    def _change(self, **values: Any) -> bool:
        """
        Write these columns only.

        save() would write the text back at every stage, and would bring a
        document back to life that was deleted meanwhile.
        """
        for name, value in values.items():
            setattr(self, name, value)
        return Document.objects.filter(pk=self.pk).update(**values) > 0
