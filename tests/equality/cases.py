"""The starts that are compared: each server and worker, with many sets of options."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.harness import PROJECT
from tests.servers import BACKENDS

_TLS = PROJECT.parent / "tls"
CERTIFICATE = str(_TLS / "certificate.pem")
_ME = str(os.geteuid())
# Only root may change to another group, and then keeps its rights to all files.
_GROUP = "65534" if os.geteuid() == 0 else str(os.getegid())

GUNICORN = "gunicorn.GunicornServer"
UVICORN = "uvicorn.UvicornServer"
UVICORN_WSGI = "uvicorn.UvicornWSGIServer"
GRANIAN = "granian.GranianASGIServer"
GRANIAN_WSGI = "granian.GranianWSGIServer"
HYPERCORN = "hypercorn.HypercornServer"
HYPERCORN_WSGI = "hypercorn.HypercornWSGIServer"
WAITRESS = "waitress.WaitressServer"
CELERY = "celery.CeleryWorker"
DB_WORKER = "django_tasks.DjangoTasksWorker"
RQWORKER = "rq.RQWorker"
HUEY = "huey.HueyConsumer"
QCLUSTER = "django_q2.DjangoQ2Worker"
#: The name of each worker's queue in "manage.py enqueue".
QUEUES = {
    CELERY: "celery",
    DB_WORKER: "tasks",
    RQWORKER: "rq",
    HUEY: "huey",
    QCLUSTER: "q2",
}

#: The app that brings a worker's management command, where it is installed for it only.
APPS = {RQWORKER: "django_rq", HUEY: "huey.contrib.djhuey", QCLUSTER: "django_q"}
#: The workers that are management commands of the project.
MANAGEMENT = (DB_WORKER, *APPS)


@dataclass(frozen=True)
class Case:
    """
    A start: a backend and what the user has configured.

    In all texts ``@site@`` is the project's directory, and ``@port@`` a free port.

    Attributes:
        backend: The backend, below ``django_prodserver.backends``.
        name: Its name in the test's id.
        keys: Keys of its entry; ``ARGS`` among them.
        files: Files beside manage.py.
        variables: Environment variables that are set.
        options: Options on the command line.
        workers: How many processes answer requests.
        address: "tcp", "unix", "tls", "inherited" for a socket that is open, or
            "file" where only the server's configuration file has the address.
        is_exec: Whether our start must be an exec of the native command; None if
            either will do.
    """

    backend: str
    name: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    workers: int = 1
    address: str = "tcp"
    is_exec: bool | None = False

    @property
    def id(self) -> str:
        return f"{self.backend.rpartition('.')[2]}-{self.name}"

    @property
    def is_web(self) -> bool:
        return self.backend not in QUEUES

    @property
    def process(self) -> str:
        """The name of the process in PRODUCTION_PROCESSES."""
        return "web" if self.is_web else "worker"

    def entry(self) -> dict[str, Any]:
        """Return the entry of PRODUCTION_PROCESSES."""
        keys: dict[str, Any] = {"BACKEND": f"{BACKENDS}.{self.backend}"}
        if self.backend == CELERY:
            keys["APP"] = "proj.recorder.celery.app"
        if self.is_web and self.address != "file":
            bind = {"unix": "unix:@site@/web.sock", "inherited": "fd://3"}
            keys["BIND"] = bind.get(self.address, "127.0.0.1:@port@")
        if self.address == "tls":
            keys["CERTFILE"] = CERTIFICATE
            keys["KEYFILE"] = str(_TLS / "key.pem")
        return {**keys, **self.keys}


def _args(**options: Any) -> dict[str, Any]:
    return {"ARGS": {name.replace("_", "-"): value for name, value in options.items()}}


_ENV_FILE = "REGION=eu\nTIER=gold\n"
_CONF_ENVIRONMENT = """
import os
os.environ["REGION"] = "eu"
raw_env = ["TIER=gold"]
"""
_CONF_HOOKS = """
import os
def on_starting(server):
    os.environ["STARTING"] = "1"
def post_fork(server, worker):
    os.environ["FORKED"] = "1"
"""
_CONF_WHEN_READY = """
def when_ready(server):
    print("ready", flush=True)
"""
_CONF_PLAIN = """
bind = "127.0.0.1:@port@"
threads = 2
loglevel = "warning"
"""
_LOG_CONFIG = """
{"version": 1, "disable_existing_loggers": false,
 "handlers": {"h": {"class": "logging.StreamHandler"}},
 "root": {"level": "INFO", "handlers": ["h"]}}
"""


def _of_every_server() -> Iterator[Case]:
    """Yield what each web server is started with."""
    for backend in (
        *(GUNICORN, UVICORN, UVICORN_WSGI, GRANIAN, GRANIAN_WSGI),
        *(HYPERCORN, HYPERCORN_WSGI, WAITRESS),
    ):
        yield Case(backend, "default")
        if backend not in (HYPERCORN_WSGI, UVICORN_WSGI, WAITRESS):
            yield Case(backend, "workers", {"WORKERS": 2}, workers=2)
    for backend in (GUNICORN, UVICORN, GRANIAN_WSGI, HYPERCORN, WAITRESS):
        keys = {"ENV": {"REGION": "eu"}, "ROOT_PATH": "/shop", "LOG_FORMAT": "json"}
        yield Case(backend, "keys", keys)
    for backend in (GUNICORN, UVICORN, GRANIAN, HYPERCORN):
        native = {"LOG_FORMAT": "native", "TRUSTED_PROXIES": ["10.0.0.0/8"]}
        yield Case(backend, "native-log", native)
    for backend in (GUNICORN, UVICORN, GRANIAN_WSGI, HYPERCORN, WAITRESS):
        yield Case(backend, "unix", address="unix")
        yield Case(backend, "no-preload", {"PRELOAD": False}, is_exec=True)
    for backend in (GUNICORN, UVICORN, GRANIAN, HYPERCORN):
        yield Case(backend, "tls", address="tls")
    for backend in (GUNICORN, UVICORN, HYPERCORN):
        yield Case(backend, "reload", _args(reload=True), is_exec=True)
        yield Case(backend, "inherited", address="inherited")


def _of_gunicorn() -> Iterator[Case]:
    for worker in ("sync", "asgi", "uvicorn_worker.UvicornWorker"):
        name = worker.partition(".")[0]
        yield Case(GUNICORN, name, _args(worker_class=worker))
    yield Case(GUNICORN, "gevent", _args(worker_class="gevent"), is_exec=True)
    yield Case(GUNICORN, "env", _args(env=["REGION=eu"]), is_exec=None)
    yield Case(
        GUNICORN,
        "chdir",
        _args(chdir="@site@/data"),
        {"data/empty": ""},
        is_exec=None,
    )
    yield Case(
        GUNICORN,
        "pythonpath",
        _args(pythonpath="@site@/lib", umask="0o027"),
        {"lib/extra.py": ""},
        is_exec=None,
    )
    yield Case(GUNICORN, "user", _args(user=_ME, group=_GROUP), is_exec=None)
    yield Case(GUNICORN, "preload", _args(preload=True))
    yield Case(GUNICORN, "name", _args(name="shop", pid="@site@/web.pid"))
    yield Case(GUNICORN, "prefix", {"PREFIX": ["nice", "-n", "1"]}, is_exec=True)
    yield Case(GUNICORN, "options", options=["--threads=2", "--log-level=debug"])
    yield Case(
        GUNICORN,
        "variable",
        variables={"GUNICORN_CMD_ARGS": "--threads=2 --max-requests=100"},
    )
    conf = {
        "environment": _CONF_ENVIRONMENT,
        "hooks": _CONF_HOOKS,
        "ready": _CONF_WHEN_READY,
    }
    for name, text in conf.items():
        files = {"gunicorn.conf.py": text}
        yield Case(GUNICORN, f"conf-{name}", files=files, is_exec=None)
    files = {"gunicorn.conf.py": _CONF_PLAIN}
    yield Case(GUNICORN, "conf", files=files, address="file")
    module = _args(config="python:serving")
    files = {"serving.py": _CONF_PLAIN}
    yield Case(GUNICORN, "conf-module", module, files, address="file")


def _of_other_servers() -> Iterator[Case]:
    env_file = {"shop.env": _ENV_FILE}
    yield Case(UVICORN, "env-file", _args(env_file="@site@/shop.env"), env_file)
    yield Case(UVICORN, "app-dir", _args(app_dir="@site@/lib"), {"lib/extra.py": ""})
    yield Case(
        UVICORN,
        "log-config",
        _args(log_config="@site@/log.json", root_path="/shop"),
        {"log.json": _LOG_CONFIG},
    )
    yield Case(GRANIAN, "env-files", _args(env_files="@site@/shop.env"), env_file)
    yield Case(
        GRANIAN,
        "working-dir",
        _args(working_dir="@site@/data", pid_file="@site@/web.pid"),
        {"data/empty": ""},
    )
    yield Case(GRANIAN, "variable", variables={"GRANIAN_RUNTIME_THREADS": "2"})
    yield Case(
        HYPERCORN,
        "config",
        _args(config="@site@/hypercorn.toml"),
        {"hypercorn.toml": 'bind = "127.0.0.1:@port@"\nroot_path = "/shop"\n'},
        address="file",
    )
    yield Case(
        HYPERCORN,
        "config-module",
        _args(config="python:serving"),
        {"serving.py": 'import os\nos.environ["REGION"] = "eu"\n'},
        is_exec=None,
    )
    yield Case(HYPERCORN, "no-workers", _args(workers=0, umask="027"))
    yield Case(WAITRESS, "threads", {"THREADS": 2})


def _of_workers() -> Iterator[Case]:
    # Without asking other workers, which takes a second.
    alone = {"without_gossip": True, "without_mingle": True}
    keys: dict[str, dict[str, Any]] = {
        CELERY: {"CONCURRENCY": 1, **_args(**alone)},
        DB_WORKER: {},
        RQWORKER: {},
        HUEY: {"CONCURRENCY": 1},
        QCLUSTER: {"CONCURRENCY": 1},
    }
    native = {"ENV": {"REGION": "eu"}, "LOG_FORMAT": "json", "PRELOAD": False}
    for backend, own in keys.items():
        yield Case(backend, "default", own)
        yield Case(backend, "no-preload", {**own, **native}, is_exec=True)
    for pool in ("threads", "solo", "gevent"):
        args = _args(pool=pool, concurrency=1, **alone)
        yield Case(CELERY, pool, args, is_exec=pool == "gevent")
    log = {"LOG_FORMAT": "native", "CONCURRENCY": 1}
    yield Case(QCLUSTER, "native-log", log)


CASES: Sequence[Case] = (
    *_of_every_server(),
    *_of_gunicorn(),
    *_of_other_servers(),
    *_of_workers(),
)
