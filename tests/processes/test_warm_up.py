"""WARM_UP: what first requests load is shared by the workers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, Web
from tests.servers import config

pytestmark = pytest.mark.process

NOT_PRELOADING = "not preloading, because"
FORKING = ["gunicorn-2", "uvicorn-2", "uvicorn-wsgi-2", "hypercorn-2", "granian-asgi-2"]


def first_answers(web: Web, path: str) -> list[dict[str, Any]]:
    """Return the answers of two workers to the same path."""
    found: dict[int, dict[str, Any]] = {}

    def both() -> list[dict[str, Any]]:
        # In parallel, or a single worker could answer all of them.
        for text in pool.map(lambda _: web.get(path), range(8)):
            answer = json.loads(text)
            found[answer["pid"]] = answer
        return list(found.values()) if len(found) == 2 else []

    with ThreadPoolExecutor(8) as pool:
        answers: list[dict[str, Any]] = web.until(both, "answers of both workers")
    return answers


@pytest.mark.parametrize("server", FORKING)
def test_workers_share_what_the_first_request_has_loaded(
    start: Starter, port: int, server: str
) -> None:
    web = start.web(config(server, port, WARM_UP=["/first"]), port=port, via=MODULE)
    for answer in first_answers(web, "/first"):
        assert answer["loaded_by"] == web.process.pid
    assert NOT_PRELOADING not in web.output
    assert "WARM_UP: 1 requests" in web.output
    # Only what came through the socket is logged.
    assert "GET /first 200" in web.output
    assert web.output.index("GET /about 200") < web.output.index("GET /first 200")
    opened = psutil.Process(web.process.pid).open_files()
    assert str(start.data / "db.sqlite3") not in [file.path for file in opened]


def test_without_it_each_worker_loads_its_own(start: Starter, port: int) -> None:
    web = start.web(config("gunicorn-2", port), port=port, via=MODULE)
    for answer in first_answers(web, "/first"):
        assert answer["loaded_by"] == answer["pid"]


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "waitress"])
def test_a_single_process_is_warm_too(start: Starter, port: int, server: str) -> None:
    web = start.web(config(server, port, WARM_UP=["/first"]), port=port)
    assert json.loads(web.get("/first"))["loaded_by"] == web.process.pid
    assert "WARM_UP: 1 requests" in web.output


@pytest.mark.parametrize("server", ["gunicorn-2", "uvicorn-2"])
def test_an_async_view_leaves_no_thread(start: Starter, port: int, server: str) -> None:
    web = start.web(config(server, port, WARM_UP=["/async-first"]), port=port)
    for answer in first_answers(web, "/async-first"):
        assert answer["loaded_by"] == web.process.pid
    assert NOT_PRELOADING not in web.output


def test_a_path_that_fails_is_a_warning(start: Starter, port: int) -> None:
    paths = ["/failing", "/nowhere?password=hunter2", "/first"]
    web = start.web(config("gunicorn-2", port, WARM_UP=paths), port=port)
    assert "WARM_UP: GET /failing returned 500" in web.output
    assert "WARM_UP: GET /nowhere?password=*** returned 404" in web.output
    for answer in first_answers(web, "/first"):
        assert answer["loaded_by"] == web.process.pid


def test_a_thread_of_a_view_is_named_with_its_path(start: Starter, port: int) -> None:
    web = start.web(config("gunicorn-2", port, WARM_UP=["/thread"]), port=port)
    assert "WARM_UP: GET /thread has started the thread 'late'" in web.output
    assert f"{NOT_PRELOADING} the application has started the thread" in web.output


@pytest.mark.parametrize("server", ["gunicorn-2", "uvicorn"])
def test_a_path_that_hangs_does_not_keep_it_from_starting(
    start: Starter, port: int, server: str
) -> None:
    entry = config(server, port, WARM_UP=["/slow?s=30", "/first"])
    web = start.web(entry, port=port)
    told = f"{NOT_PRELOADING} the application fails: TimeoutError: GET /slow?s=30"
    assert told in web.output
    assert not (start.data / "web.preload").exists(), "the next start tries again"


def test_what_is_not_preloaded_says_that_it_does_nothing(
    start: Starter, port: int
) -> None:
    entry = config("gunicorn", port, WARM_UP=["/first"], PRELOAD=False)
    web = start.web(entry, port=port)
    assert "WARM_UP has no effect here: the application is not preloaded" in web.output


def test_a_worker_has_no_such_key(start: Starter) -> None:
    backend = "django_prodserver.backends.celery.CeleryWorker"
    entry = {"BACKEND": backend, "APP": "proj.celery.app", "WARM_UP": ["/"]}
    env = start.environment({"worker": entry})
    worker = start.process([*MANAGE, "worker"], env)
    assert worker.exits(30) == 78
    assert "has the unknown key 'WARM_UP'" in worker.output
