"""Every web server, for real: started, used, signalled, looked at as it ends."""

from __future__ import annotations

import collections
import contextlib
import http.client
import itertools
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import STOPS, Row, Starter
from tests.harness import MANAGE, MODULE, PROJECT, SCRIPT, Web

pytestmark = pytest.mark.process

BACKENDS = "django_prodserver.backends"


class Variant(NamedTuple):
    """A way to run a server, and what is known to end otherwise than with 0."""

    backend: str
    args: Mapping[str, Any]
    #: How the option for the address is spelled.
    bind: Callable[[int], Mapping[str, Any]]
    asgi: bool = False
    on_term: int = 0
    #: Natively SIGINT is a quick shutdown of gunicorn, which its sync worker
    #: and its ASGI workers end the request by.
    quick_on_int: bool = False

    def config(self, port: int, **more: Any) -> dict[str, Any]:
        args = {**self.bind(port), **self.args}
        return {"BACKEND": f"{BACKENDS}.{self.backend}", "ARGS": args, **more}


def _bind(port: int) -> Mapping[str, Any]:
    return {"bind": f"127.0.0.1:{port}"}


def _port(port: int) -> Mapping[str, Any]:
    return {"port": port}


def _listen(port: int) -> Mapping[str, Any]:
    return {"listen": f"127.0.0.1:{port}"}


GUNICORN = "gunicorn.GunicornServer"
VARIANTS = {
    "gunicorn": Variant(GUNICORN, {}, _bind, quick_on_int=True),
    "gunicorn-2": Variant(GUNICORN, {"workers": 2}, _bind, quick_on_int=True),
    "gunicorn-threads-2": Variant(GUNICORN, {"workers": 2, "threads": 4}, _bind),
    "gunicorn-asgi-2": Variant(
        GUNICORN, {"workers": 2, "worker-class": "asgi"}, _bind, True, 0, True
    ),
    "gunicorn-uvicorn-2": Variant(
        GUNICORN,
        {
            "workers": 2,
            "worker-class": "uvicorn_worker.UvicornWorker",
            "graceful-timeout": 5,
        },
        _bind,
        True,
        0,
        True,
    ),
    # One uvicorn process ends by raising the signal again, once it is done.
    "uvicorn": Variant("uvicorn.UvicornServer", {}, _port, True, -signal.SIGTERM),
    "uvicorn-2": Variant("uvicorn.UvicornServer", {"workers": 2}, _port, True),
    "uvicorn-wsgi": Variant(
        "uvicorn.UvicornWSGIServer", {}, _port, on_term=-signal.SIGTERM
    ),
    "uvicorn-wsgi-2": Variant("uvicorn.UvicornWSGIServer", {"workers": 2}, _port),
    "granian-asgi": Variant("granian.GranianASGIServer", {}, _port, True),
    "granian-asgi-2": Variant("granian.GranianASGIServer", {"workers": 2}, _port, True),
    "granian-wsgi": Variant("granian.GranianWSGIServer", {"threads": 4}, _port),
    "granian-wsgi-2": Variant(
        "granian.GranianWSGIServer", {"workers": 2, "threads": 4}, _port
    ),
    "waitress": Variant("waitress.WaitressServer", {}, _listen),
}
every = pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))


@pytest.fixture
def name(variant: Variant) -> str:
    return next(name for name, known in VARIANTS.items() if known is variant)


DRY_RUN = (*MANAGE, "web", "--dry-run")


@every
def test_sigterm_finishes_the_request(
    variant: Variant, start: Starter, port: int, row: Row, name: str
) -> None:
    """A request in flight is answered, then it exits, and nothing is left."""
    server = start.web(variant.config(port), port=port)
    assert server.about()["asgi"] is variant.asgi
    request = server.in_flight("/slow?s=3")
    signalled = time.monotonic()
    code = server.stop(signal.SIGTERM)
    took = time.monotonic() - signalled
    assert request.result() == "slow done"
    assert code == variant.on_term
    assert took < 10
    row(
        STOPS,
        **{"backend": name, "first (s)": server.ready_after},
        **{"in flight": "completed", "exit": code, "stop (s)": took},
    )


#: Where a socket is closed, the kernel may make a connection in that very moment.
IN_THAT_MOMENT = 2


@every
def test_a_stop_drops_no_connection_that_was_made(
    variant: Variant, start: Starter, port: int
) -> None:
    """A request is in flight; who comes meanwhile is answered, or refused at once."""
    server = start.web(variant.config(port), port=port)
    said = _while_it_stops(server, port)
    assert server.exits() == variant.on_term
    assert said.pop("200", 0) + said.pop("refused") > 20
    assert said.total() <= IN_THAT_MOMENT, said


def test_nor_does_a_worker_that_cannot_take_them(start: Starter, port: int) -> None:
    """Gunicorn's sync worker is busy until the request has ended."""
    variant = Variant(GUNICORN, {"worker-class": "sync"}, _bind)
    server = start.web(variant.config(port), port=port)
    said = _while_it_stops(server, port)
    assert server.exits() == 0
    assert said.pop("200") > 20
    assert said.pop("refused", 0) + said.total() <= IN_THAT_MOMENT, said


def _while_it_stops(server: Web, port: int) -> collections.Counter[str]:
    """Stop it with a request in flight, and return what became of who came then."""
    request = server.in_flight("/slow?s=2")
    server.process.send_signal(signal.SIGTERM)
    with ThreadPoolExecutor(100) as clients:
        came = []
        while not request.done():
            came.append(clients.submit(_come, port))
            time.sleep(0.02)  # so many clients, not as many as there can be
    assert request.result() == "slow done"
    return collections.Counter(client.result() for client in came)


def _come(port: int) -> str:
    """Return what became of a client: refused, or the status it got."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(client):
        try:
            client.connect()
        except ConnectionError:  # or reset, in the moment of the close
            return "refused"
        try:
            client.request("GET", "/about", headers={"Connection": "close"})
            return str(client.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)


@every
def test_sigint_stops_it_too(variant: Variant, start: Starter, port: int) -> None:
    """Ctrl-C ends it like SIGTERM, or quickly where that is what the server does."""
    server = start.web(variant.config(port), port=port, via=MODULE)
    request = server.in_flight("/slow?s=3")
    assert server.stop(signal.SIGINT) == 0
    if not variant.quick_on_int:
        assert request.result() == "slow done"


@every
def test_what_dry_run_prints_serves_the_same(
    variant: Variant, start: Starter, port: int
) -> None:
    """The line can be pasted into a shell, and is the whole command."""
    env = start.environment({"web": variant.config(port)})
    printed = subprocess.run(
        DRY_RUN, env=env, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    bare = {k: env[k] for k in env if k not in ("DJANGO_SETTINGS_MODULE",)}
    server: Web = start.process(
        ["sh", "-c", f"exec env {printed.stdout}"], bare, kind=Web
    )
    server.port = port
    server.wait_until_ready()
    assert server.about()["asgi"] is variant.asgi
    assert server.stop() == variant.on_term


@every
def test_the_probe_tells_whether_it_serves(
    variant: Variant, start: Starter, port: int
) -> None:
    """Yes while it does; no when it has ended, though its file is still there."""
    server = start.web(variant.config(port), port=port, via=MODULE)
    ready, live = start.probe(), start.probe("--live")
    assert ready.returncode == 0
    assert f"web is ready: 404 from 127.0.0.1:{port}" in ready.stdout
    assert (live.returncode, live.stdout) == (
        0,
        f"web is alive: it listens on 127.0.0.1:{port}\n",
    )
    server.stop()
    assert start.probe("web").returncode == 1
    assert start.probe("--live", "web").returncode == 1


@pytest.mark.parametrize(
    "variant", [VARIANTS["gunicorn"], VARIANTS["uvicorn"], VARIANTS["waitress"]]
)
@pytest.mark.parametrize(
    "via", [MANAGE, MODULE, SCRIPT], ids=["manage", "-m", "script"]
)
def test_the_process_that_was_started_is_the_server(
    via: tuple[str, ...], variant: Variant, start: Starter, port: int
) -> None:
    """There is nothing in between: the pid is the server's, or its worker's parent."""
    server = start.web(variant.config(port), port=port, via=via)
    about = server.about()
    assert server.process.pid in (about["pid"], about["ppid"])


@every
def test_two_starts_in_a_row_on_one_port(
    variant: Variant, start: Starter, port: int
) -> None:
    for _ in range(2):
        server = start.web(variant.config(port), port=port, via=MODULE)
        assert server.stop() == variant.on_term


@every
def test_sys_argv_is_the_native_command(
    variant: Variant, start: Starter, port: int
) -> None:
    """What the application sees of the command line is what it would see natively."""
    server = start.web(variant.config(port), port=port)
    argv = server.about()["argv"]
    if variant.backend.startswith("uvicorn") and variant.args:
        return  # spawned: uvicorn's own affair
    env = start.environment({"web": variant.config(port)})
    printed = subprocess.check_output(DRY_RUN, env=env, cwd=PROJECT, text=True)
    words = itertools.dropwhile(lambda word: "=" in word, printed.split())
    assert argv[1:] == list(words)[1:]
    assert Path(argv[0]).is_absolute()
