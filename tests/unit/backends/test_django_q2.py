"""Settings that the backend changes in Django-Q2's configuration."""

from __future__ import annotations

from typing import Any

import pytest
from django_q.conf import Conf

from django_prodserver.backends.django_q2 import DjangoQ2Worker


@pytest.fixture
def configure(monkeypatch):
    """Return a function that prepares a cluster; restore Django-Q2's Conf after it."""

    def configure(cluster: dict[str, Any], **keys: Any) -> None:
        monkeypatch.setattr(Conf, "conf", cluster)
        for name in ("WORKERS", "QUEUE_LIMIT", "RECYCLE"):
            monkeypatch.setattr(Conf, name, getattr(Conf, name))
        Conf.WORKERS = cluster.get("workers", 1)
        backend = DjangoQ2Worker(**keys)
        backend.prepare(backend.args)

    return configure


def test_queue_limit_defaults_to_the_number_of_workers(configure):
    configure({"workers": 3})
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (3, 3)


def test_concurrency_sets_the_number_of_workers(configure):
    configure({"workers": 3}, CONCURRENCY=5)
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (5, 5)


def test_keeps_the_queue_limit_of_the_settings(configure):
    configure({"workers": 3, "queue_limit": 50})
    assert (Conf.WORKERS, Conf.QUEUE_LIMIT) == (3, 50)


def test_max_tasks_recycles_the_workers(configure):
    configure({"workers": 3}, MAX_TASKS=7)
    assert Conf.RECYCLE == 7


def test_heartbeat_max_age_grows_with_the_guard_cycle(settings):
    settings.Q_CLUSTER = {"workers": 1, "guard_cycle": 45}
    assert DjangoQ2Worker().heartbeat_max_age([]) == 75
    settings.Q_CLUSTER = {"workers": 1}
    assert DjangoQ2Worker().heartbeat_max_age([]) == 30
