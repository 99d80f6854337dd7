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
from xml.etree import ElementTree
from xml.sax.saxutils import escape

SHOP = Path(__file__).parent / "shop"
STATIC = Path(__file__).parent / "_static"
COLUMNS = 120
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
EXPLAIN = ("prodserver", "web", "--explain", "--", "--backlog=99")
ALL = ("prodserver", "--all", "web", "worker")
COMMANDS = {"list": LIST, "explain": EXPLAIN, "all": ALL}
# Of the platform and of whoever runs this: not what the pictures are of.
_LEFT_OUT = re.compile(r"PORT|WEB_CONCURRENCY|PROCESS_NAME|FORWARDED_ALLOW_IPS")
_PREFIXES = re.compile(r"PRODSERVER_|_PRODSERVER_|GUNICORN_|DJANGO_|PYTEST_")
_SECONDS = 60


def main() -> None:
    for name, argv in COMMANDS.items():
        picture = svg(argv, printed(argv))
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


def shown(picture: str) -> list[str]:
    """Return the lines that are in a picture, without that of the command."""
    texts = ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  # our own
    return ["".join(text.itertext()) for text in texts][1:]


def fitted(lines: Sequence[str]) -> list[str]:
    """Return the lines as a terminal of that width shows them that does not wrap."""
    return [
        line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in lines
    ]


def svg(argv: Sequence[str], lines: Sequence[str]) -> str:
    """Return a picture of a terminal in which a command prints these lines."""
    rows = [("prompt", f"$ {' '.join(argv)}")]
    rows += [(_kind(line, argv), line) for line in fitted(lines)]
    height = 56 + 19 * len(rows)
    width = 28 + int(COLUMNS * 7.83)
    texts = "\n".join(
        f'  <text class="{kind}" x="14" y="{58 + 19 * number}">{escape(line)}</text>'
        for number, (kind, line) in enumerate(rows)
    )
    title = escape(f"A terminal: {' '.join(argv)}")
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
width="{width}" height="{height}" role="img" aria-label="{title}">
  <style>
    rect {{ fill: #161b22; stroke: #57606a }}
    circle {{ fill: #57606a }}
    text {{ font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
fill: #d0d7de; white-space: pre }}
    .prompt {{ fill: #ffffff; font-weight: 600 }}
    .head {{ fill: #9198a1 }}
    .web {{ fill: #79c0ff }}
    .worker {{ fill: #7ee787 }}
  </style>
  <rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>
  <circle cx="20" cy="19" r="5"/>
  <circle cx="38" cy="19" r="5"/>
  <circle cx="56" cy="19" r="5"/>
{texts}
</svg>
"""


def _kind(line: str, argv: Sequence[str]) -> str:
    if argv is not ALL:
        return "head" if line.split(" ", 1)[0] in ("NAME", "OPTION") else "plain"
    word = line.split()[1] if len(line.split()) > 1 else ""
    return word if word in ("web", "worker") else "head"


@contextlib.contextmanager
def _project() -> Iterator[tuple[Path, dict[str, str]]]:
    # A short name: a column is as wide as what is in it.
    with tempfile.TemporaryDirectory(prefix="ps") as name:
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
    _run("django-admin", "migrate", "--verbosity=0", cwd=folder, env=env)
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
    with contextlib.suppress(OSError), urllib.request.urlopen(request) as response:  # noqa: S310
        return bool(response.status == 200)
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


def _run(script: str, *args: str, cwd: Path, env: Mapping[str, str]) -> None:
    env = {**env, "PYTHONPATH": str(cwd)}
    subprocess.run([_script(script), *args], cwd=cwd, env=env, check=True)


if __name__ == "__main__":
    main()
