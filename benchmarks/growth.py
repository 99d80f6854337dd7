"""
How the cost of a start grows: with applications, processes and workers.

    python -m benchmarks.growth [--runs 5] [--ends] [apps] [processes] [workers]

A project with 5, 50 and 200 applications (each a model, a view and their URLs); with
1, 10 and 100 processes in its settings; with 1 to 16 workers. Gunicorn is started
natively and by the console command, in alternating runs. Of each run: seconds to the
first 200, and the proportional set size of all its processes (MiB) when idle; beside
them what the launcher itself does, as the time of ``prodserver web --dry-run``, and of
``--list``, which looks at every process. Written to benchmarks/results/growth.json;
what is not named stays, and with --ends what is between the first and the last size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import subject
from benchmarks.environments import ROOT, compiled, python
from benchmarks.machine import BACKENDS, machine
from benchmarks.starts import CONSOLE, NATIVE, ask, settle
from tests.harness import Web, free_port, memory

SIZES = {"apps": (5, 50, 200), "processes": (1, 10, 100), "workers": (1, 2, 4, 8, 16)}
#: What says how long the launcher takes by itself: what it does before a start, and
#: a look at every process.
LAUNCHER = ("web --dry-run", "--list")
SETTINGS = """
import json, os
SECRET_KEY = "for-the-benchmark-only-" + "0" * 40
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "grown_urls"
WSGI_APPLICATION = "grown_wsgi.application"
SQLITE = "django.db.backends.sqlite3"
DATABASES = {{"default": {{"ENGINE": SQLITE, "NAME": ":memory:"}}}}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.messages", "django.contrib.sessions", *{apps},
]
PRODUCTION_PROCESSES = json.loads(os.environ.get("BENCH_PROCESSES", "{{}}"))
if PRODUCTION_PROCESSES:
    INSTALLED_APPS.append("django_prodserver")
"""
URLS = """
from importlib import import_module
from django.urls import path
urlpatterns = [
    path(f"{{app}}/", import_module(f"{{app}}.views").page) for app in {apps}
]
"""
WSGI = "from django.core.wsgi import get_wsgi_application\n"
MODELS = """
from django.db import models

class Thing(models.Model):
    name = models.CharField(max_length=100)
    made = models.DateTimeField(auto_now_add=True)
    owner = models.ForeignKey("auth.User", models.CASCADE)
"""
VIEWS = """
from django import forms
from django.http import HttpResponse
from . import models

class Form(forms.ModelForm):
    class Meta:
        model = models.Thing
        fields = ["name"]

def page(request):
    return HttpResponse("yes")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ends", action="store_true")
    parser.add_argument("what", nargs="*", default=list(SIZES))
    options = subject.options(parser, runs=1, ends=True)
    found = subject.read("growth").get("growth", {})
    compiled(ROOT / "src")
    with tempfile.TemporaryDirectory() as folder:
        for what in options.what:
            sizes = SIZES[what]
            for size in (sizes[0], sizes[-1]) if options.ends else sizes:
                row = compare(Path(folder), options.runs, **{what: size})
                found.setdefault(what, {})[str(size)] = row
                result = {"machine": machine(), "options": vars(options)}
                subject.write("growth", {**result, "growth": found})
                print(f" {size} {what}", file=sys.stderr)


def compare(
    root: Path, runs: int, *, apps: int = 5, processes: int = 1, workers: int = 2
) -> dict[str, Any]:
    """Measure a project of that size: medians of seconds and MiB, and of --list."""
    folder = make(root, apps)
    rows: dict[str, list[tuple[float, float]]] = {NATIVE: [], CONSOLE: []}
    alone: dict[str, list[float]] = {words: [] for words in LAUNCHER}
    for run in range(runs + 1):
        for way in rows:
            measured = measure(folder, way, processes, workers)
            if run:  # the first fills the disk cache
                rows[way].append(measured)
        for words, seconds in alone.items():
            took = launcher(folder, words, processes, workers)
            if run:
                seconds.append(took)
        print(".", end="", flush=True, file=sys.stderr)
    medians = {
        way: [round(statistics.median(column), 3) for column in zip(*row, strict=True)]
        for way, row in rows.items()
    }
    return {
        "runs": rows,
        "median": medians,
        "ratio": [
            round(own / native, 2)
            for own, native in zip(medians[CONSOLE], medians[NATIVE], strict=True)
        ],
        "launcher": {
            words: round(statistics.median(seconds), 3)
            for words, seconds in alone.items()
        },
    }


def make(root: Path, apps: int) -> Path:
    """Write the project, with byte code, where it is not there yet."""
    folder = root / f"apps-{apps}"
    if folder.exists():
        return folder
    names = [f"app_{number}" for number in range(apps)]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "models.py").write_text(MODELS)
        (folder / name / "views.py").write_text(VIEWS)
    (folder / "grown_settings.py").write_text(SETTINGS.format(apps=names))
    (folder / "grown_urls.py").write_text(URLS.format(apps=names))
    (folder / "grown_wsgi.py").write_text(
        f"{WSGI}application = get_wsgi_application()\n"
    )
    compiled(folder)
    return folder


def measure(
    folder: Path, way: str, processes: int, workers: int
) -> tuple[float, float]:
    port = free_port()
    env = {"PYTHONPATH": str(folder), "DJANGO_SETTINGS_MODULE": "grown_settings"}
    if way == NATIVE:
        argv = [
            *(str(python("ours").with_name("gunicorn")), "grown_wsgi:application"),
            *(f"--bind=127.0.0.1:{port}", f"--workers={workers}", "--threads=4"),
        ]
    else:
        argv = [str(python("ours").with_name("prodserver")), "web"]
        env["BENCH_PROCESSES"] = json.dumps(table(processes, workers, port))
    web = Web(argv, environment(env), folder / "log", folder)
    try:
        url = f"http://127.0.0.1:{port}/app_0/"
        while not ask(url):
            if web.process.poll() is not None or time.monotonic() > web.started + 90:
                sys.exit(f"{way}: no answer\n{web.output}")
            time.sleep(0.005)
        seconds = time.monotonic() - web.started
        settle(web.process.pid)
        return round(seconds, 3), round(memory(web.process.pid), 1)
    finally:
        web.stop()
        web.kill()


def launcher(folder: Path, words: str, processes: int, workers: int) -> float:
    """Return the seconds that the launcher takes by itself, without a server."""
    env = {
        "PYTHONPATH": str(folder),
        "DJANGO_SETTINGS_MODULE": "grown_settings",
        "BENCH_PROCESSES": json.dumps(table(processes, workers, 8000)),
    }
    argv = [str(python("ours").with_name("prodserver")), *words.split()]
    began = time.monotonic()
    subprocess.run(
        argv, env=environment(env), cwd=folder, check=True, capture_output=True
    )
    return time.monotonic() - began


def table(processes: int, workers: int, port: int) -> dict[str, Any]:
    config = {
        "BACKEND": f"{BACKENDS}.gunicorn.GunicornServer",
        "BIND": f"127.0.0.1:{port}",
        "WORKERS": workers,
    }
    return {"web": config} | {f"web-{n}": config for n in range(1, processes)}


def environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **more}


if __name__ == "__main__":
    main()
