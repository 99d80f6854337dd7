"""What Django-Q2's backend sets in its configuration."""

from __future__ import annotations

from typing import Any

import pytest
from django_q.conf import Conf

from django_prodserver.backends.django_q2 import DjangoQ2Worker


@pytest.fixture
def configure(monkeypatch):
    """Set up a cluster of a ``Q_CLUSTER`` and keys of ours, and restore its Conf."""

    def configure(cluster: dict[str, Any], **keys: Any) -> None:
        monkeypatch.setattr(Conf, "conf", cluster)
        for name in ("WORKERS", "QUEUE_LIMIT", "RECYCLE"):
            monkeypatch.setattr(Conf, name, getattr(Conf, name))
        Conf.WORKERS = cluster.get("workers", 1)
        backend = DjangoQ2Worker(**keys)
        backend.prepare(backend.args)

    return configure


def test_the_queue_limit_is_the_number_of_workers(configure):
    configure({"workers": 3})
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (3, 3)


def test_the_concurrency_is_the_number_of_workers(configure):
    configure({"workers": 3}, CONCURRENCY=5)
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (5, 5)


def test_a_queue_limit_of_the_settings_stands(configure):
    configure({"workers": 3, "queue_limit": 50})
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (3, 50)


def test_max_tasks_recycles_the_workers(configure):
    configure({"workers": 3}, MAX_TASKS=7)
    assert Conf.RECYCLE == 7
