"""The app's settings, and what they are in a project that sets none."""

from __future__ import annotations

from django.conf import settings


def job_queue() -> str:
    """Which of queues.QUEUES takes the jobs."""
    return getattr(settings, "JOB_QUEUE", "tasks")


def stage_pause() -> float:
    """Seconds to rest after each stage, so that one can watch them."""
    return getattr(settings, "STAGE_PAUSE", 0.0)


def max_bytes() -> int:
    return getattr(settings, "DOCUMENT_MAX_BYTES", 200_000)


def keep_days() -> int:
    return getattr(settings, "DOCUMENT_KEEP_DAYS", 30)
