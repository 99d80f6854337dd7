"""Deployment warnings for Django-Q2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.checks import Warning

from django_prodserver.checks.ids import WarningId


def cluster_warnings(workers: int) -> Iterator[Warning]:
    """Yield a warning for each dangerous value in ``Q_CLUSTER``."""
    cluster: Mapping[str, Any] = getattr(settings, "Q_CLUSTER", {})
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if not timeout or timeout >= retry:
        message = f": Q_CLUSTER has timeout {timeout} and retry {retry}."
        hint = (
            "A task that runs longer than retry is run twice. Set timeout below retry."
        )
        yield Warning(message, hint=hint, id=WarningId.Q2_RETRY)
    limit = cluster.get("queue_limit", workers)
    if limit > workers:
        message = f": Q_CLUSTER has queue_limit {limit} for {workers} workers."
        hint = "A stop first runs every task that was fetched. Remove queue_limit."
        yield Warning(message, hint=hint, id=WarningId.Q2_QUEUE_LIMIT)
