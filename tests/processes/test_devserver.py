"""``manage.py devserver``: production's server, one worker, restarted on changes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import PROJECT, Web
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

DEVSERVER = (sys.executable, "manage.py", "devserver")
VERSION = """
import library

urlpatterns.append(path("version", lambda request: HttpResponse(library.VERSION)))
"""


class Site:
    """A copy of the project under test, to be changed."""

    def __init__(self, start: Starter, folder: Path) -> None:
        self.start = start
        self.folder = Path(shutil.copytree(PROJECT, folder))
        # Of no app, nor of the project's package: known once it is imported.
        self.library = self.folder / "library.py"
        self.version("one")
        with (self.folder / "proj" / "urls.py").open("a") as urls:
            urls.write(VERSION)
        static = self.folder / "proj" / "jobs" / "static"
        static.mkdir()
        (static / "greeting.txt").write_text("hello")

    def version(self, text: str) -> None:
        self.library.write_text(f"VERSION = {text!r}")

    def run(self, entry: Any, *args: str, port: int = 0, **settings: Any) -> Web:
        env = self.start.environment({"web": entry}, {"DEBUG": True, **settings})
        server: Web = self.start.process(
            [*DEVSERVER, "web", *args], env, kind=Web, cwd=self.folder
        )
        server.port = port
        return server


@pytest.fixture
def site(start: Starter, tmp_path: Path) -> Site:
    return Site(start, tmp_path / "site")


def serves(server: Web, version: str) -> None:
    def answer() -> bool:
        try:
            return server.get("/version", timeout=2) == version
        except OSError:
            return False

    server.until(answer, f"version {version}")


def workers(server: Web) -> list[psutil.Process]:
    """Return the children of the server, which is the child of devserver."""
    (child,) = psutil.Process(server.process.pid).children()
    found: list[psutil.Process] = child.children()
    return found


@pytest.mark.parametrize(
    ("server", "children"),
    [
        ("gunicorn-4", 1),
        ("uvicorn-4", 0),
        ("uvicorn-wsgi-4", 0),
        ("granian-asgi-4", 1),
    ],
)
def test_one_worker_static_files_and_a_restart_on_changes(
    site: Site, port: int, server: str, children: int
) -> None:
    web = site.run(config(server, port), port=port)
    serves(web, "one")
    assert len(workers(web)) == children
    assert web.get("/static/greeting.txt") == "hello"
    site.version("two")
    serves(web, "two")
    assert f"{site.library} changed" in web.output
    assert web.stop() == 0


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("gunicorn", "static/"),
        ("gunicorn", "/static/"),
        ("uvicorn", "static/"),
        ("uvicorn-wsgi", "/static/"),
    ],
)
def test_static_files_below_root_path(
    site: Site, port: int, server: str, url: str
) -> None:
    """Where the page links to, with and without a proxy that removes ROOT_PATH."""
    urls = site.folder / "proj" / "urls.py"
    urls.write_text(
        f"{urls.read_text()}\n"
        "from django.templatetags.static import static\n"
        'greeting = path("link", lambda r: HttpResponse(static("greeting.txt")))\n'
        "urlpatterns.append(greeting)\n"
    )
    entry = config(server, port, ROOT_PATH="/shop")
    web = site.run(entry, port=port, STATIC_URL=url)
    serves(web, "one")
    link = web.get("/shop/link")
    assert link == ("/shop/static/" if url == "static/" else url) + "greeting.txt"
    for path in (link, "/static/greeting.txt", "/shop/static/greeting.txt"):
        assert web.get(path) == "hello", path
    with pytest.raises(urllib.error.HTTPError, match="404"):
        web.get("/shop/static/nothing.txt")
    assert web.stop() == 0


def test_without_debug_there_are_no_static_files(site: Site, port: int) -> None:
    """As with runserver."""
    web = site.run(config("waitress", port), port=port, DEBUG=False)
    serves(web, "one")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        web.get("/static/greeting.txt")


@pytest.mark.parametrize("file", ["urls.py", "jobs/__init__.py", "wsgi.py"])
def test_a_syntax_error_is_told_and_its_end_is_seen(
    site: Site, port: int, file: str
) -> None:
    """Whether it ends the server, or is what the server answers."""
    path = site.folder / "proj" / file
    web = site.run(config("gunicorn", port), port=port)
    serves(web, "one")
    fine = path.read_text()
    path.write_text(f"{fine}\ndef broken(:\n")

    def told() -> bool:
        with contextlib.suppress(OSError):  # urls are asked for by a request
            web.get("/version")
        return "SyntaxError" in web.output

    web.until(told, "the syntax error")
    line = len(fine.splitlines()) + 2
    assert f'File "{path}", line {line}' in web.output
    path.write_text(fine)
    serves(web, "one")
    assert web.process.poll() is None
    assert web.stop() == 0


def test_a_worker_is_started_again_too(site: Site) -> None:
    """It runs the new code."""
    site.start.migrate()
    worker = site.run({"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"})
    site.start.enqueue("tasks", "one")
    worker.until(lambda: site.start.marks("one")[1], "the first task done")
    work = site.folder / "proj" / "jobs" / "work.py"
    work.write_text(work.read_text().replace("{name}", "new-{name}"))
    worker.until(lambda: worker.output.count("Starting worker") == 2, "a new worker")
    site.start.enqueue("tasks", "two")
    worker.until(lambda: site.start.marks("new-two")[1], "the second task done")
    assert site.start.marks("two") == (0, 0)
    assert worker.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
def test_a_signal_ends_it(site: Site, port: int, signum: int, group: bool) -> None:
    """Nothing is left, as a terminal sends it or another program."""
    web = site.run(config("granian-wsgi", port), port=port)
    serves(web, "one")
    send = os.killpg if group else os.kill
    send(web.process.pid, signum)
    assert web.exits(10) == 0
    assert "Traceback" not in web.output


def test_a_second_signal_waits_for_nothing(site: Site, port: int) -> None:
    web = site.run(config("gunicorn", port), port=port)
    serves(web, "one")
    web.in_flight("/slow?s=30")
    web.process.send_signal(signal.SIGINT)
    web.says("Handling signal: term")
    then = time.monotonic() + 0.2
    # Sooner, it would be the same stop, told twice.
    web.until(lambda: time.monotonic() > then, "a while")
    web.process.send_signal(signal.SIGINT)
    assert web.exits(5) == 0


def test_a_backend_of_others(site: Site, port: int) -> None:
    entry = {"BACKEND": "proj.thirdparty.WsgirefServer", "ARGS": {"port": port}}
    web = site.run(entry, "--greeting=hello", port=port)
    serves(web, "one")
    site.version("two")
    serves(web, "two")
    assert web.output.count(f"wsgiref with --port={port} --greeting=hello") == 2
    assert web.stop() == 0


def test_a_wrapper_stays(site: Site, port: int) -> None:
    """PREFIX wraps the server here too, which also serves the static files."""
    entry = config("gunicorn", port, PREFIX=["env", "WRAPPED=yes"], ENV={"A": "b"})
    web = site.run(entry, port=port)
    serves(web, "one")
    environ = web.about()["environ"]
    assert (environ["WRAPPED"], environ["A"]) == ("yes", "b")
    assert web.get("/static/greeting.txt") == "hello"
