"""The command of Procrastinate's worker."""

from __future__ import annotations

import pytest

from django_prodserver.backends.procrastinate import ProcrastinateWorker

DEADLINE = "--shutdown-graceful-timeout=25"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"CONCURRENCY": 4, "QUEUES": ["a", "b"]},
            ["--concurrency=4", "--queues=a,b", DEADLINE],
        ),
        (
            {"CONCURRENCY": 4, "ARGS": {"c": 8, "one-shot": True}},
            [DEADLINE, "--concurrency=8", "--one-shot"],
        ),
        (
            {"CONCURRENCY": 4, "ARGS": {"wait": False, "listen_notify": False}},
            ["--concurrency=4", DEADLINE, "--one-shot", "--no-listen-notify"],
        ),
    ],
)
def test_command(config, words):
    backend = ProcrastinateWorker(**config)
    command = ["django-admin", "procrastinate", "worker", *words]
    assert backend.command(backend.args) == command


def test_own_settings_and_variables_win_over_our_default(settings, monkeypatch):
    assert "--concurrency" in " ".join(ProcrastinateWorker().args)
    monkeypatch.setenv("PROCRASTINATE_WORKER_CONCURRENCY", "7")
    backend = ProcrastinateWorker()
    assert backend.args == [DEADLINE]
    assert backend.request_concurrency(backend.args) == 7
    monkeypatch.delenv("PROCRASTINATE_WORKER_CONCURRENCY")
    settings.PROCRASTINATE_WORKER_DEFAULTS = {"concurrency": 3}
    assert ProcrastinateWorker().args == [DEADLINE]
    assert ProcrastinateWorker(CONCURRENCY=2).args == ["--concurrency=2", DEADLINE]
