"""The command of Dramatiq's workers."""

from __future__ import annotations

import pytest

from django_prodserver.backends.dramatiq import DramatiqWorker

DEADLINE = "--worker-shutdown-timeout=25000"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"CONCURRENCY": 4}, ["--processes=4", "--threads=1", DEADLINE]),
        (
            {"CONCURRENCY": 4, "ARGS": {"t": 8}},
            ["--processes=4", DEADLINE, "--threads=8"],
        ),
        (
            {"ARGS": {"processes": 2}, "GRACEFUL_TIMEOUT": 5},
            ["--worker-shutdown-timeout=5000", "--processes=2"],
        ),
        (
            {"ARGS": {"processes": 2}, "QUEUES": ["default", "mail"]},
            [DEADLINE, "--processes=2", "--queues", "default", "mail"],
        ),
        (
            {"ARGS": ["--processes=2", "--queues", "a"], "QUEUES": ["b"]},
            [DEADLINE, "--processes=2", "--queues", "a"],
        ),
    ],
)
def test_command(config, words):
    backend = DramatiqWorker(**config)
    assert backend.command(backend.args) == ["django-admin", "rundramatiq", *words]


def test_gevent_is_started_natively_and_without_a_heartbeat():
    backend = DramatiqWorker(ARGS={"use-gevent": True})
    assert "gevent patches" in backend.must_exec(backend.args)
    assert backend.heartbeat_max_age(backend.args) == 0


def test_new_processes_share_nothing_that_could_be_preloaded():
    backend = DramatiqWorker(ARGS={"use-spawn": True})
    assert not backend.forks(backend.args)
    assert backend.must_exec(backend.args)
