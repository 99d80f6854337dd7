"""What a project needs: its processes, its services and its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django_prodserver.commands.init import project
from django_prodserver.commands.init.project import Inspection, Layout
from django_prodserver.exceptions import ConfigurationError

_BACKENDS = "django_prodserver.backends"
#: Workers, by the app in INSTALLED_APPS that brings them: the backend and its extra.
_WORKERS = {
    "django_q": ("django_q2.DjangoQ2Worker", "django-q2"),
    "django_rq": ("rq.RQWorker", "rq"),
    "huey.contrib.djhuey": ("huey.HueyConsumer", "huey"),
    "django_dramatiq": ("dramatiq.DramatiqWorker", "dramatiq"),
    "procrastinate.contrib.django": (
        "procrastinate.ProcrastinateWorker",
        "procrastinate",
    ),
    "django_tasks_db": ("django_tasks.DjangoTasksWorker", "django-tasks"),
}
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
_DATABASE_FIELDS = ("HOST", "PORT", "NAME", "USER", "PASSWORD")
#: Hosts that the container is reached by at first.
LOCAL_HOSTS = ("localhost", "127.0.0.1")

Ask = Callable[[str], bool]


@dataclass
class Proposal:
    """
    What is to be added.

    Args:
        processes: ``PRODUCTION_PROCESSES``.
        extras: Of django-prodserver.
        requirements: Packages that are needed beside it, by name.
        database: "postgresql", "mysql", or "" for none that is a server.
        broker: "redis", "rabbitmq", or "" for none.
        overrides: Parts of the block of settings that read the environment.
        environment: Variables of the containers.
        secrets: Names of variables for ``.env`` that get a generated value.
        private: Other variables for ``.env``.
        todo: What only a person can do.
        notes: What was decided, and why.
    """

    processes: dict[str, dict[str, Any]] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    requirements: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    private: dict[str, str] = field(default_factory=dict)
    todo: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    database: str = ""
    broker: str = ""
    directories: list[str] = field(default_factory=list)
    volumes: dict[str, str] = field(default_factory=dict)
    is_static_served: bool = True
    static_root: str = ""


class Experiment:
    """
    Which variable becomes which setting, found by setting them.

    Args:
        layout: The project.
        inspected: Its settings as they are.
    """

    def __init__(self, layout: Layout, inspected: Inspection) -> None:
        self._results: list[tuple[Mapping[str, str], Inspection]] = []
        variables = project.connections(inspected)
        if not variables:
            return
        groups = [variables, *({name: text} for name, text in variables.items())]
        for group in groups:
            try:
                found = project.inspect(
                    layout,
                    inspected.settings,
                    environment=inspected.required,
                    sentinels=group,
                )
            except ConfigurationError:
                continue
            self._results.append((group, found))
            if group is variables:
                return

    def variable(self, look: Callable[[Inspection], object], text: str = "") -> str:
        """
        Return the variable whose value is a setting; "" if there is none.

        Args:
            look: Returns the setting.
            text: The value to find, if it is not the variable's whole value.
        """
        for variables, found in self._results:
            value = look(found)
            values = value if isinstance(value, list) else [value]
            for name, sample in variables.items():
                if text and text not in sample:
                    continue
                if any(str(item) == (text or sample) for item in values):
                    return name
        return ""

    @property
    def last(self) -> Inspection | None:
        return self._results[0][1] if self._results else None


def propose(
    layout: Layout, inspected: Inspection, experiment: Experiment, name: str, ask: Ask
) -> Proposal:
    """
    Decide what a project needs.

    Args:
        layout: The project.
        inspected: The settings that the image uses.
        experiment: What is known of its variables.
        name: The project's.
        ask: Asks a question whose default is yes.
    """
    made = Proposal()
    values = inspected.values
    _web(made, values)
    _workers(made, inspected, experiment, name, ask)
    made.processes["release"] = {
        "BACKEND": f"{_BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
    }
    _secrets(made, inspected, experiment)
    _database(made, layout, inspected, experiment, name)
    _caches(made, inspected, experiment)
    _files(made, layout, inspected)
    for path in inspected.opened:
        made.todo.append(
            f"Files: {path} is opened for writing at the start, and the container can "
            "only write to /tmp and volumes. Move it, or log to the console."
        )
    for variable in inspected.required:
        known = {*made.environment, *made.secrets, *made.private}
        if variable not in known and not experiment_knows(made, variable):
            made.private[variable] = ""
            made.todo.append(f"Set {variable} in .env: the settings need it.")
    return made


def experiment_knows(made: Proposal, variable: str) -> bool:
    """Tell whether a variable needs no value, for another one has its part."""
    return any(variable in text for text in made.environment.values())


def _web(made: Proposal, values: Mapping[str, Any]) -> None:
    apps = values["INSTALLED_APPS"] or []
    is_async = (
        bool({"channels", "daphne"} & set(apps)) or not values["WSGI_APPLICATION"]
    )
    if values["ASGI_APPLICATION"] and is_async:
        backend, extra = "uvicorn.UvicornServer", "uvicorn"
        made.notes.append(f"web: Uvicorn serves {values['ASGI_APPLICATION']}.")
    else:
        backend, extra = "gunicorn.GunicornServer", "gunicorn"
        made.notes.append(f"web: Gunicorn serves {values['WSGI_APPLICATION']}.")
    made.extras.append(extra)
    made.processes["web"] = {"BACKEND": f"{_BACKENDS}.{backend}", "WORKERS": "auto"}


def _workers(
    made: Proposal,
    inspected: Inspection,
    experiment: Experiment,
    project_name: str,
    ask: Ask,
) -> None:
    values, celery = inspected.values, inspected.celery
    if celery:
        app = celery["app"]
        made.extras.append("celery")
        backend = f"{_BACKENDS}.celery"
        made.processes["worker"] = {"BACKEND": f"{backend}.CeleryWorker", "APP": app}
        made.notes.append(f"worker: the Celery app is {app}.")
        if celery["schedule"] or ask("Run Celery beat, for periodic tasks?"):
            beat: dict[str, Any] = {"BACKEND": f"{backend}.CeleryBeat", "APP": app}
            if "django_celery_beat" in values["INSTALLED_APPS"]:
                beat["ARGS"] = {
                    "scheduler": "django_celery_beat.schedulers:DatabaseScheduler"
                }
            made.processes["beat"] = beat
        _celery_broker(made, celery, experiment, project_name)
    for app, (worker, extra) in _WORKERS.items():
        if not any(found.startswith(app) for found in values["INSTALLED_APPS"]):
            continue
        if app == "django_tasks_db" and not _stores_tasks(values):
            continue
        name = "worker" if "worker" not in made.processes else extra
        made.extras.append(extra)
        made.processes[name] = {"BACKEND": f"{_BACKENDS}.{worker}"}
        made.notes.append(f"{name}: {app} is in INSTALLED_APPS.")
        if extra in ("rq", "dramatiq", "huey") or values["Q_CLUSTER"]["redis"]:
            _other_broker(made, extra, experiment, inspected)


def _stores_tasks(values: Mapping[str, Any]) -> bool:
    return any(
        "DatabaseBackend" in task["BACKEND"] for task in values["TASKS"].values()
    )


def _celery_broker(
    made: Proposal, celery: Mapping[str, Any], experiment: Experiment, name: str
) -> None:
    variable = experiment.variable(lambda found: found.celery.get("broker"))
    # Celery reads this one itself.
    variable = variable or "CELERY_BROKER_URL"
    scheme = urlsplit(celery["broker"]).scheme
    if scheme.startswith(("amqp", "pyamqp")):
        made.broker = "rabbitmq"
        made.secrets.append("BROKER_PASSWORD")
        made.environment[variable] = (
            f"amqp://{name}:${{BROKER_PASSWORD:?}}@broker:5672//"
        )
        made.notes.append("broker: RabbitMQ, as in the settings.")
    elif not scheme or scheme.startswith("redis"):
        made.broker = "redis"
        made.environment[variable] = "redis://broker:6379/0"
        made.requirements["kombu"] = "kombu[redis]"
        because = "as in the settings" if scheme else "for no broker is set"
        made.notes.append(f"broker: Redis, {because}.")
    else:
        made.todo.append(f"Set {variable} in .env: the broker is {scheme}://.")
    results = celery["results"]
    variable = experiment.variable(lambda found: found.celery.get("results"))
    # With a broker that the project had none of: it may insist on both.
    is_new = bool(variable) and not (scheme or results)
    if is_new or urlsplit(results).scheme.startswith("redis"):
        made.environment.setdefault(
            variable or "CELERY_RESULT_BACKEND", "redis://broker:6379/0"
        )
        _use_redis(made)


def _other_broker(
    made: Proposal, extra: str, experiment: Experiment, inspected: Inspection
) -> None:
    """Give the worker of a queue in Redis its variable, if the settings read one."""
    names = [name for name in project.connections(inspected) if "REDIS" in name.upper()]
    _use_redis(made)
    if names:
        for name in names:
            is_host = name.upper().endswith("HOST")
            made.environment[name] = "broker" if is_host else "redis://broker:6379/0"
    elif extra == "django-q2":
        made.overrides.append(_assignment("BROKER_URL", 'Q_CLUSTER["redis"]', "_value"))
        made.environment["BROKER_URL"] = "redis://broker:6379/0"
    elif extra == "rq":
        made.overrides.append(
            _assignment(
                "BROKER_URL",
                "RQ_QUEUES",
                '{name: {"URL": _value} for name in RQ_QUEUES}',
            )
        )
        made.environment["BROKER_URL"] = "redis://broker:6379/0"
    else:
        made.todo.append(
            f"Let the settings of {extra} read the address of Redis from a variable, "
            "and set it in compose.yaml: redis://broker:6379/0."
        )


def _use_redis(made: Proposal) -> None:
    if made.broker == "rabbitmq":
        made.todo.append("Redis: compose.yaml has none beside RabbitMQ. Add it.")
    made.broker = made.broker or "redis"
    if "kombu" not in made.requirements:
        made.requirements["redis"] = "redis"


def _secrets(made: Proposal, inspected: Inspection, experiment: Experiment) -> None:
    variable = experiment.variable(lambda found: found.values["SECRET_KEY"])
    if not variable:
        variable = "DJANGO_SECRET_KEY"
        made.overrides.append(_assignment(variable, "SECRET_KEY", "_value"))
    made.secrets.insert(0, variable)
    last = experiment.last
    if inspected.values["DEBUG"]:
        debug = [
            name
            for name in (project.connections(inspected) if last else ())
            if "DEBUG" in name.upper()
        ]
        if debug and last and not last.values["DEBUG"]:
            made.environment[debug[0]] = '"False"'
        else:
            text = '_value.lower() in ("1", "true", "yes", "on")'
            made.overrides.append(_assignment("DJANGO_DEBUG", "DEBUG", text))
            made.environment["DJANGO_DEBUG"] = '"False"'
    hosts = [
        *LOCAL_HOSTS,
        *(
            host
            for host in inspected.values["ALLOWED_HOSTS"]
            if host and host not in LOCAL_HOSTS
        ),
    ]
    variable = experiment.variable(lambda found: found.values["ALLOWED_HOSTS"])
    if variable:
        hosts = [host for host in hosts if not host.endswith(".sample")]
    elif inspected.values["ALLOWED_HOSTS"] != ["*"]:
        variable = "DJANGO_ALLOWED_HOSTS"
        text = '_value.split(",")'
        made.overrides.append(_assignment(variable, "ALLOWED_HOSTS", text))
    if variable:
        made.private[variable] = ",".join(hosts)
        made.todo.append(f"Hosts: add the site's names to {variable} in .env.")
    else:
        made.todo.append('Hosts: replace ALLOWED_HOSTS = ["*"] by the site\'s names.')


def _assignment(variable: str, name: str, value: str) -> str:
    return f'if _value := _os.environ.get("{variable}"):\n    {name} = {value}\n'


def _database(
    made: Proposal,
    layout: Layout,
    inspected: Inspection,
    experiment: Experiment,
    name: str,
) -> None:
    database = inspected.values["DATABASES"].get("default", {})
    url = experiment.variable(
        lambda found: found.values["DATABASES"].get("default", {}).get("HOST"),
        "sample-host",
    )
    engine = database.get("ENGINE", "")
    if url and experiment.last and {"psycopg", "psycopg2"} & set(inspected.modules):
        engine = experiment.last.values["DATABASES"]["default"]["ENGINE"]
    kind = _kind(engine)
    if kind == "sqlite":
        _sqlite(made, experiment, url)
        return
    if not kind:
        made.todo.append(
            f"Database: compose.yaml has none for {engine or 'no ENGINE'}."
        )
        return
    made.database = kind
    made.notes.append(f"database: {'PostgreSQL' if kind == 'postgresql' else 'MySQL'}.")
    made.secrets.append("DATABASE_PASSWORD")
    user, named = f"${{DATABASE_USER:-{name}}}", f"${{DATABASE_NAME:-{name}}}"
    password = "${DATABASE_PASSWORD:?}"  # noqa: S105  # a variable of compose
    port = {"postgresql": "5432", "mysql": "3306"}[kind]
    if url:
        scheme = {"postgresql": "postgres", "mysql": "mysql"}[kind]
        login = f"{user}:{password}"
        made.environment[url] = f"{scheme}://{login}@database:{port}/{named}"
        return
    values = {"HOST": "database", "PORT": f'"{port}"', "USER": user, "NAME": named}
    values["PASSWORD"] = password
    missing = []
    for key in _DATABASE_FIELDS:
        variable = experiment.variable(
            lambda found, key=key: (
                found.values["DATABASES"]  # type: ignore[misc]
                .get("default", {})
                .get(key)
            )
        )
        if not variable:
            missing.append(key)
            variable = f"DATABASE_{key}"
        made.environment[variable] = values[key]
    if missing:
        made.overrides.append(_database_override(missing))


def _database_override(keys: list[str]) -> str:
    listed = ", ".join(f'"{key}"' for key in keys)
    comma = "," if len(keys) == 1 else ""
    return (
        f"for _key in ({listed}{comma}):\n"
        '    if _value := _os.environ.get(f"DATABASE_{_key}"):\n'
        '        DATABASES["default"][_key] = _value\n'
    )


def _sqlite(made: Proposal, experiment: Experiment, url: str) -> None:
    path = "/data/db.sqlite3"
    if url:
        made.environment[url] = f"sqlite:///{path}"
    else:
        variable = experiment.variable(
            lambda found: found.values["DATABASES"].get("default", {}).get("NAME")
        )
        if not variable:
            variable = "DATABASE_NAME"
            made.overrides.append(_database_override(["NAME"]))
        made.environment[variable] = path
    made.directories.append("/data")
    made.volumes["data"] = "/data"
    made.notes.append("database: SQLite, in the volume data.")
    made.todo.append(
        "Database: SQLite serves containers of one machine only. For several machines, "
        "move to PostgreSQL."
    )


def _kind(engine: str) -> str:
    if "sqlite" in engine or "spatialite" in engine:
        return "sqlite"
    if any(word in engine for word in ("postgresql", "postgres", "postgis")):
        return "postgresql"
    return "mysql" if "mysql" in engine else ""


def _caches(made: Proposal, inspected: Inspection, experiment: Experiment) -> None:
    for alias, cache in inspected.values["CACHES"].items():
        location = cache["LOCATION"]
        if not ("redis" in cache["BACKEND"].lower() and location):
            if "memcached" in cache["BACKEND"].lower():
                made.todo.append(f"Cache: compose.yaml has no memcached for {alias!r}.")
            continue
        _use_redis(made)
        variable = experiment.variable(
            lambda found, alias=alias: (
                found.values["CACHES"]  # type: ignore[misc]
                .get(alias, {})
                .get("LOCATION")
            )
        )
        if not variable:
            variable = "CACHE_URL"
            made.overrides.append(
                _assignment(variable, f'CACHES["{alias}"]["LOCATION"]', "_value")
            )
        # Another database than the broker's: a flush of the cache keeps the tasks.
        made.environment.setdefault(variable, "redis://broker:6379/1")


def _files(made: Proposal, layout: Layout, inspected: Inspection) -> None:
    values = inspected.values
    media = str(values["MEDIA_ROOT"] or "")
    storage = (values["STORAGES"] or {}).get("default", {}).get("BACKEND", "")
    if media and storage.endswith("FileSystemStorage"):
        below = _below(layout, media)
        if below:
            path = f"/app/{below}"
            made.directories.append(path)
            made.volumes["media"] = path
            made.todo.append(
                f"Uploads: {path} is a volume, and no server delivers it to browsers "
                "yet. Serve it with a proxy, or keep uploads in an object store."
            )
    static = (values["STORAGES"] or {}).get("staticfiles", {}).get("BACKEND", "")
    is_local = static.startswith(("django.contrib.staticfiles.", "whitenoise."))
    uses = "django.contrib.staticfiles" in values["INSTALLED_APPS"]
    made.static_root = str(values["STATIC_ROOT"] or "")
    # By its name, because projects have classes of their own that extend it.
    has_whitenoise = any("whitenoise" in each.lower() for each in values["MIDDLEWARE"])
    made.is_static_served = has_whitenoise or not (uses and is_local)
    if not made.is_static_served:
        made.requirements["whitenoise"] = "whitenoise>=6"
        made.notes.append("static files: WhiteNoise, for nothing serves them yet.")


def _below(layout: Layout, path: str) -> str:
    try:
        return str(Path(path).resolve().relative_to(layout.root))
    except ValueError:
        return ""
