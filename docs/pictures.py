"""
The pictures of a terminal: what the commands print, as SVG.

    python -m docs.pictures

It runs each command for real, in a copy of docs/shop, and writes
docs/_static/terminal-NAME.svg. Times, pids and ids are made the same each time; a
test compares what is in the pictures with what the commands print today.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from docs._ext import terminal

SHOP = Path(__file__).parent / "shop"
STATIC = Path(__file__).parent / "_static"
SETTINGS = """
import os

from shop.settings import *

_OURS = "django_prodserver.backends"
PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": f"{_OURS}.gunicorn.GunicornServer",
        "WORKERS": int(os.environ.get("SHOP_WORKERS", 2)),
    },
    "worker": {"BACKEND": f"{_OURS}.django_tasks.DjangoTasksWorker"},
    "mail": {
        "BACKEND": f"{_OURS}.celery.CeleryWorker",
        "APP": "shop.celery.app",
        "QUEUES": ["mail"],
        "CONCURRENCY": 4,
    },
    "release": {
        "BACKEND": f"{_OURS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
    },
}
"""
LIST = ("prodserver", "--list")
ALL = ("prodserver", "--all", "web", "worker")
COMMANDS = {"list": LIST, "all": ALL}
# Of the platform and of whoever runs this: not what the pictures are of.
_LEFT_OUT = re.compile(r"PORT|WEB_CONCURRENCY|PROCESS_NAME|FORWARDED_ALLOW_IPS")
_PREFIXES = re.compile(r"PRODSERVER_|_PRODSERVER_|GUNICORN_|DJANGO_|PYTEST_")
_SECONDS = 120


def main() -> None:
    for name, argv in COMMANDS.items():
        picture = terminal.svg(argv, printed(argv), _kind(argv))
        path(name).write_text(picture)
        sys.stdout.write(f"{path(name)}\n")


def path(name: str) -> Path:
    return STATIC / f"terminal-{name}.svg"


def printed(argv: Sequence[str]) -> list[str]:
    """Return the lines that a command of the pictures prints, made alike."""
    with _project() as (folder, env):
        if argv is ALL:
            return _alike(_life(argv, folder, env), folder)
        done = subprocess.run(
            [_script(argv[0]), *argv[1:]],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        return _alike(done.stdout, folder)


def _kind(argv: Sequence[str]) -> Callable[[str], str]:
    def of(line: str) -> str:
        first, *others = line.split() or [""]
        if argv is not ALL:
            return "head" if first == "NAME" else "plain"
        return others[0] if others[:1] in (["web"], ["worker"]) else "head"

    return of


@contextlib.contextmanager
def _project() -> Iterator[tuple[Path, dict[str, str]]]:
    # A short name, wherever TMPDIR is: a column is as wide as what is in it.
    with tempfile.TemporaryDirectory(prefix="ps", dir="/tmp") as name:
        folder = Path(name).resolve()
        shutil.copytree(SHOP, folder, dirs_exist_ok=True)
        (folder / "pictures.py").write_text(SETTINGS)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not (_LEFT_OUT.fullmatch(name) or _PREFIXES.match(name))
        }
        yield (
            folder,
            kept
            | {
                "DJANGO_SETTINGS_MODULE": "pictures",
                "PRODSERVER_RUNTIME_DIR": str(folder),
                "TZ": "UTC",
            },
        )


def _life(argv: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """Start it, ask for a page, stop it; return all that it has printed."""
    from tests.harness import free_port

    port = free_port()
    # One worker, or it is by chance who answers.
    own = {"PRODSERVER_HOST": "127.0.0.1", "PORT": str(port), "SHOP_WORKERS": "1"}
    env = {**env, **own}
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=folder, env=env, check=True)
    log = folder / "log"
    with log.open("w") as file:
        running = subprocess.Popen(
            [_script(argv[0]), *argv[1:]],
            cwd=folder,
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        _until(lambda: "Booting worker" in log.read_text(), log)
        _until(lambda: "Starting worker" in log.read_text(), log)
        _until(lambda: _answers(f"http://127.0.0.1:{port}/"), log)
        running.send_signal(signal.SIGINT)
        running.wait(_SECONDS)
    finally:
        running.kill()
    return log.read_text().replace(str(port), "8000")


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, headers={"X-Request-ID": "order-17"})  # noqa: S310
    try:
        # Once it is taken it is answered: a second one would be a second line.
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
            return bool(response.status == 200)
    except OSError:
        return False


def _until(look: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text())
        time.sleep(0.05)


def _alike(text: str, folder: Path) -> list[str]:
    """Return the lines without what is another one each time, as long as it was."""
    place = "/srv/shop"
    text = text.replace(str(folder), place.ljust(len(str(folder))))
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d ", "12:00:00 ", text)
    text = re.sub(r"(T)\d\d:\d\d:\d\d\.\d{3}Z", r"\g<1>12:00:00.000Z", text)
    text = re.sub(r"\d{4}-\d\d-\d\d(?=T12)", "2026-01-01", text)
    text = re.sub(r"duration=[\d.]+", "duration=0.002", text)
    text = re.sub(r"(worker_id=)\S+", r"\1w1", text)
    text = re.sub(_PID, lambda found: f"{found[1]}{_pids(text)[found[2]]}", text)
    return [line.rstrip() for line in text.splitlines()]


_PID = re.compile(r"(pid[ =:]+|\[|8000 \()(\d+)")


def _pids(text: str) -> dict[str, int]:
    """Return another pid for each: the two that were started have the first."""
    started = dict(re.findall(r"(\w+) started \(pid=(\d+)\)", text))
    pids = [started[name] for name in ("web", "worker") if name in started]
    pids += [pid for _, pid in _PID.findall(text)]
    return {pid: 101 + number for number, pid in enumerate(dict.fromkeys(pids))}


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    main()
