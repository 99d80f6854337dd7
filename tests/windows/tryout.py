"""
Try the commands and the servers on the system that this runs on; for workflows.

    python tests/windows/tryout.py

Needs ``django-prodserver[granian,uvicorn,waitress]`` and nothing else: the other tests
want POSIX. It makes a new project, runs each command, and then each server: a page, the
probe, a request in flight while Ctrl-Break (on Windows; elsewhere Ctrl-C) stops it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

if sys.platform == "win32":
    # A group of its own, so that Ctrl-Break does not reach this script.
    GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    STOP = signal.CTRL_BREAK_EVENT
else:
    GROUP = 0
    STOP = signal.SIGINT
SERVERS = {
    "waitress": "waitress.WaitressServer",
    "uvicorn": "uvicorn.UvicornServer",
    "granian": "granian.GranianWSGIServer",
}
SETTINGS = """
import json
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS += ["django_prodserver"]
ASGI_APPLICATION = "shop.asgi.application"
PRODUCTION_PROCESSES = json.loads({processes!r})
"""
VIEWS = """
import time
from django.http import HttpResponse
from django.urls import path

def answer(request):
    print("begun", flush=True)
    time.sleep(float(request.GET.get("s", 0)))
    return HttpResponse("an answer")

urlpatterns = [path("", answer)]
"""


def main() -> int:
    """Try everything; return 1 if something fails."""
    failures = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["PRODSERVER_RUNTIME_DIR"] = folder
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        project = Path(folder, "shop")
        run(folder, "-m", "django", "startproject", "shop")
        (project / "shop" / "urls.py").write_text(VIEWS)
        ports = {name: free_port() for name in SERVERS}
        processes = {
            name: {
                "BACKEND": f"django_prodserver.backends.{backend}",
                "BIND": f"127.0.0.1:{ports[name]}",
            }
            for name, backend in SERVERS.items()
        }
        with (project / "shop" / "settings.py").open("a") as settings:
            settings.write(SETTINGS.format(processes=json.dumps(processes)))
        for words in (
            ["check"],
            ["migrate", "-v0"],
            ["prodserver", "--list"],
            ["prodserver", "waitress", "--dry-run"],
            ["prodserver", "uvicorn", "--explain"],
        ):
            print("manage.py", *words, flush=True)
            run(str(project), "manage.py", *words)
        for name in SERVERS:
            problem = try_server(project, name, ports[name])
            print(f"{name}: {problem or 'page, probe, log and stop as promised'}")
            failures += [problem] if problem else []
    return int(bool(failures))


def try_server(project: Path, name: str, port: int) -> str:
    """Start, ask and stop a server; return what is wrong."""
    log = project / f"{name}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "prodserver", name],
            cwd=project,
            stdout=output,
            stderr=subprocess.STDOUT,
            creationflags=GROUP,
        )
    try:
        problem = ask_and_stop(server, port, log, name)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        problem = f"{type(error).__name__}: {error}"
    finally:
        server.kill()
    return f"{problem}\n{log.read_text(errors='replace')}" if problem else ""


def ask_and_stop(
    server: subprocess.Popen[bytes], port: int, log: Path, name: str
) -> str:
    url = f"http://127.0.0.1:{port}/"
    wait_for(lambda: answers(url), "the first answer", server)
    probe = subprocess.run(
        [sys.executable, "-m", "django_prodserver.health.probe", "--timeout=10", name],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        return f"the probe exits with {probe.returncode}: {probe.stdout}"
    begun = log.read_text(errors="replace").count("begun")
    bodies: list[bytes] = []
    thread = threading.Thread(target=lambda: bodies.append(get(f"{url}?s=2")))
    thread.start()
    wait_for(
        lambda: log.read_text(errors="replace").count("begun") > begun,
        "the request in flight",
        server,
    )
    server.send_signal(STOP)
    thread.join(30)
    if bodies != [b"an answer"]:
        return f"the request in flight was answered with {bodies}"
    code = server.wait(30)
    if code:
        return f"it exits with {code}"
    if "GET / 200" not in log.read_text(errors="replace"):
        return "its log has no line for the request"
    return ""


def run(folder: str, *words: str) -> None:
    """Run Python to its end, which must be a good one."""
    subprocess.run([sys.executable, *words], cwd=folder, check=True, timeout=120)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


def answers(url: str) -> bool:
    try:
        return get(url) == b"an answer"
    except OSError:
        return False


def wait_for(look: object, what: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not look():  # type: ignore[operator]
        assert server.poll() is None, f"{what}: it exited with {server.returncode}"
        assert time.monotonic() < deadline, f"{what}: not within 60 s"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
