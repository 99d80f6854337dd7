"""Settings that Celery's backends change in the Celery app."""

from __future__ import annotations

import os

import pytest
from proj.celery import app

from django_prodserver.backends.celery import CeleryBeat, CeleryWorker
from django_prodserver.backends.celery.backend import SCHEDULE
from django_prodserver.health import state

APP = "proj.celery.app"


@pytest.fixture(autouse=True)
def _restored_app():
    names = ("worker_concurrency", "beat_schedule_filename")
    before = {name: app.conf[name] for name in names}
    yield
    app.conf.update(before)


def test_keeps_the_concurrency_of_the_app():
    app.conf.worker_concurrency = 37
    worker = CeleryWorker(APP=APP)
    worker.prepare(worker.args)
    assert app.conf.worker_concurrency == 37


def test_concurrency_defaults_to_the_cpus():
    worker = CeleryWorker(APP=APP)
    worker.prepare(worker.args)
    expected = worker.resolve("CONCURRENCY").value
    assert expected >= 1
    assert app.conf.worker_concurrency == expected


@pytest.mark.parametrize("option", ["concurrency", "autoscale"])
def test_an_option_keeps_the_app_unchanged(option):
    worker = CeleryWorker(APP=APP, ARGS={option: "5"})
    worker.prepare(worker.args)
    assert app.conf.worker_concurrency is None


@pytest.fixture
def directories(tmp_path, monkeypatch):
    """A working directory and a runtime directory."""
    working, runtime = tmp_path / "working", tmp_path / "runtime"
    working.mkdir()
    runtime.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(runtime))
    return working, runtime


def test_schedule_in_a_writable_directory(directories):
    assert state.runtime_directory() == str(directories[1])
    beat = CeleryBeat(APP=APP)
    beat.prepare(beat.args)
    assert app.conf.beat_schedule_filename == SCHEDULE


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_schedule_in_a_read_only_directory(directories):
    working, runtime = directories
    working.chmod(0o500)
    beat = CeleryBeat(APP=APP)
    beat.prepare(beat.args)
    assert app.conf.beat_schedule_filename == str(runtime / SCHEDULE)
