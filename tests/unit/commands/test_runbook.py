"""``--explain --format html``: one page that a team can put into its runbook."""

from __future__ import annotations

import re
import signal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_prodserver.backends import loader
from django_prodserver.commands import runbook
from django_prodserver.config.processes import Process
from django_prodserver.launch.plan import make_plan
from tests.servers import BACKENDS

GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
PROCESSES = {
    "web": {
        "BACKEND": GUNICORN,
        "WORKERS": 3,
        "ARGS": {"name": "<b>&amp;</b> --x"},
        "ENV": {"REGION": "<eu>"},
        "WAIT_FOR": ["database", "tcp://cache:6379"],
        "GRACEFUL_TIMEOUT": 40,
    },
    "worker": {
        "BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker",
        "HEALTH": {"MAX_AGE": 77},
    },
    "release": {
        "BACKEND": f"{BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput", "check"],
    },
    "bad": {"BACKEND": f"{BACKENDS}.gunicorn.NoServer"},
}


@pytest.fixture(autouse=True)
def _configured(settings, monkeypatch):
    settings.PRODUCTION_PROCESSES = PROCESSES
    for name in ("PORT", "PRODSERVER_HOST", "PROCESS_NAME", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


class Page(HTMLParser):
    """What a browser makes of the page: its text by section, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self.unclosed: list[str] = []
        self._section = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self._section = str(dict(attrs)["id"])
            self.sections[self._section] = ""
        if tag != "meta":
            self.unclosed.append(tag)

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        if self._section:
            self.sections[self._section] += f"{data} "


@pytest.fixture
def page(capsys) -> Page:
    call_command("prodserver", "--explain", "--format", "html")
    return Page(capsys.readouterr().out)


def test_every_process_has_a_section(page):
    assert list(page.sections) == [*PROCESSES, "exit-codes"]
    assert page.unclosed == []


def test_a_process_that_cannot_start_says_why(page):
    assert "Cannot start: PRODUCTION_PROCESSES['bad']" in page.sections["bad"]


def test_what_the_settings_have_is_text_and_no_markup(page):
    web = page.sections["web"]
    assert "<b>&amp;</b> --x" in web
    assert "<eu>" in web
    assert not any(tag == "b" for tag, _ in page.tags)


def test_it_loads_nothing(page, capsys):
    loading = {"script", "link", "img", "iframe", "object"}
    assert not loading.intersection(tag for tag, _ in page.tags)
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert not (attributes.get("href") or "#").startswith("http"), tag
    css = Path(runbook.__file__).with_name("runbook.css").read_text()
    assert not re.search(r"@import|url\(|@font-face", css)


def test_a_web_process(page):
    web = page.sections["web"]
    for part in (
        "gunicorn proj.wsgi:application",
        "GET / on 127.0.0.1:8000 is answered within 1 s",
        "prodserver-probe --live web",
        "Unknown; the reason is printed.",
        "database",
        "tcp://cache:6379",
        "gives up after 300 s with exit code 69",
        "A stop takes at most 40 s",
        "TimeoutStopSec=45",
        "finishes what it has started for up to 40 s",
        "SIGKILL",
        "longer than the 60 s that nginx and AWS keep a connection",
        "REGION",
    ):
        assert part in web, part


def test_a_worker_and_a_release(page):
    assert "last heartbeat is at most 77 s old" in page.sections["worker"]
    release = page.sections["release"]
    assert "django-admin migrate \\\n    --noinput && \ndjango-admin check" in release
    assert "a command of it is running" in release


def test_the_command_can_be_pasted(page):
    web = page.sections["web"]
    assert " \\\n    --workers=3" in web
    assert "'--name=<b>&amp;</b> --x'" in web


@pytest.mark.parametrize("path", loader.known_backends())
def test_every_backend_has_a_page(path, settings):
    process = Process("x", {"BACKEND": path, "APP": "proj.celery.app"})
    plan = make_plan(process)
    page = Page(runbook.as_html([runbook.of_plan(plan)]))
    assert signal.SIGTERM.name in page.sections["x"]


def test_the_interval_is_that_of_the_image():
    text = (Path(__file__).parents[3] / "docker" / "Dockerfile").read_text()
    [options] = re.findall(r"^HEALTHCHECK (.*) \\$", text, re.MULTILINE)
    assert options == (
        f"--interval={runbook.INTERVAL}s --timeout={runbook.TIMEOUT}s "
        f"--start-period={runbook.START_PERIOD}s --retries={runbook.RETRIES}"
    )


def test_some_processes_and_a_file(tmp_path, capsys):
    file = tmp_path / "runbook.html"
    words = ["web", "release", "--explain", "--format", "html", "-o", str(file)]
    call_command("prodserver", *words)
    assert list(Page(file.read_text()).sections) == ["web", "release", "exit-codes"]
    words = ["web", "--explain", "--output", str(file), "--", "--workers=9"]
    call_command("prodserver", *words, "--threads=2")
    assert "--workers" in file.read_text()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--list --format html", "--format html only works with --explain"),
        ("web --compare --format html", "--format html only works with --explain"),
        ("web --explain --format pdf", "invalid choice: 'pdf'"),
        ("--explain --format html -- --workers=2", "Which process is --workers=2 for?"),
        ("--explain --format html -o /no/such/file", "cannot be written"),
        ("nobody worker --explain --format html", "No process named 'nobody'"),
    ],
)
def test_a_mistake(words, message):
    with pytest.raises(CommandError, match=re.escape(message)):
        call_command("prodserver", *words.split())
