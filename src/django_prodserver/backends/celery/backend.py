"""Celery's worker, its scheduler (beat) and its monitor (Flower)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from django_prodserver.backends import addresses, singleton
from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config import bind, keys
from django_prodserver.config.argv import value_of
from django_prodserver.config.bind import Bind
from django_prodserver.config.keys import Resolved, Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.health import state
from django_prodserver.process import bootstrap
from django_prodserver.text import is_dotted_path, is_missing, safe_repr

if TYPE_CHECKING:
    from celery import Celery

    from django_prodserver.backends.singleton import Singleton
    from django_prodserver.backends.task_load import TaskLoad

#: The file of Celery's scheduler, unless the app or an option names another.
SCHEDULE = "celerybeat-schedule"
_TWO_BEATS = "two would send every task twice"


class _CeleryBackend(CommandBackend):
    """Run a subcommand of ``celery`` for the app at ``APP``."""

    script = "celery"
    keys: ClassVar[Mapping[str, Translation]] = {
        **CommandBackend.keys,
        "LOG_LEVEL": lambda backend, value: backend.level_options(value),
    }
    package = "celery"
    extra = "celery"
    server_loggers = ("celery",)
    subcommand: ClassVar[str]

    def command(self, args: Sequence[str]) -> list[str]:
        # -A and -q belong to celery itself, so they come before the subcommand. -q
        # drops the banner, which is not a log line.
        quiet = [] if self.logs_natively else ["-q"]
        return [self.script, "-A", self.app, *quiet, self.subcommand, *args]

    def level_options(self, level: str) -> Mapping[str, object]:
        """Return the option for ``LOG_LEVEL``."""
        # Celery's own default, "warning", does not show its tasks.
        return {"loglevel": level.upper()}

    @property
    def native_name(self) -> str:
        return f"{self.script} {self.subcommand}"

    @property
    def app(self) -> str:
        """The path of the Celery app, in any form that ``celery -A`` takes."""
        app = self.config.get("APP")
        problem = "has no APP" if app is None else f"has the APP {safe_repr(app)}"
        dotted = app.replace(":", ".") if isinstance(app, str) else ""
        if not is_dotted_path(dotted, least=1):
            message = f"{type(self).__name__} {problem}; it needs a Celery app's path."
            hint = 'Write "APP": "project.celery.app".'
            raise ConfigurationError(Fault.BAD_APP, message, hint)
        return str(app)

    def load(self, args: Sequence[str]) -> None:
        super().load(args)
        self.loaded_app()
        bootstrap.prepare()  # after the django.setup() of the app's module

    def check_loaded(self) -> None:
        self.loaded_app()

    def loaded_app(self) -> Celery:
        """
        Import and return the Celery app.

        Raises:
            ConfigurationError: There is no Celery app at the path in ``APP``.
        """
        from celery import Celery
        from celery.app.utils import find_app

        app = self.app
        try:
            celery_app = find_app(app)
        except (AttributeError, ModuleNotFoundError) as error:
            if _is_inside(app, error):
                raise  # the path is right, and the user's module itself fails
            problem = f"cannot be imported: {str(error)[:200]}"
        else:
            if isinstance(celery_app, Celery):
                return celery_app
            problem = f"is a {type(celery_app).__name__}, not a Celery app"
        hint = 'Write the path of your Celery app: "APP": "project.celery.app".'
        raise ConfigurationError(
            Fault.APP_NOT_FOUND, f"APP {safe_repr(app)} {problem}.", hint
        )

    def check(self) -> Iterator[ConfigurationError]:
        yield from super().check()
        try:
            _ = self.app
        except ConfigurationError as error:
            yield error

    @property
    def has_broker(self) -> bool:
        return True

    def user(self, args: Sequence[str]) -> int | None:
        text = self.option("uid", args)
        if not text or sys.platform == "win32":
            return None
        import pwd

        try:
            return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
        except KeyError:  # Celery reports it
            return None

    def install_task_log(self) -> None:
        from django_prodserver.backends.celery import task_log

        task_log.install()


class CeleryWorker(_CeleryBackend):
    """
    Run a Celery worker for the app at ``APP``.

    On SIGTERM it stops fetching and finishes its tasks. After ``GRACEFUL_TIMEOUT``
    seconds (25) it ends the unfinished tasks; those with ``acks_late`` go back to
    their queue.
    """

    title = "Celery"
    option_file = OptionFile(__package__, "worker_options.json")
    subcommand = "worker"
    keys = {
        **_CeleryBackend.keys,
        "GRACEFUL_TIMEOUT": "",
        "CONCURRENCY": lambda backend, value: backend.concurrency_options(value),
        "QUEUES": "queues",
        "MAX_TASKS": "max-tasks-per-child",
        "SINGLETON": Unsupported(
            "workers share their queues, and each task goes to one worker; to run one "
            "task at a time, start one worker with CONCURRENCY 1"
        ),
    }
    env_prefix = "CELERY_WORKER_"

    def clean_exit_code(self, signum: int, args: Sequence[str]) -> int:
        return 1 if signum == signal.SIGINT else 0

    windows_way_out = 'Use another pool on Windows: "ARGS": {"pool": "solo"}'

    def windows_obstacle(self) -> str:
        if self.option("pool", self.args) in ("", "prefork", "processes"):
            return "its prefork pool needs fork()"
        return ""

    def resolve(self, key: str) -> Resolved:
        is_written = key in self.config or key != "CONCURRENCY"
        if not is_written and self.values("concurrency", self.written):
            return Resolved(None)  # the server's own option decides
        return super().resolve(key)

    def concurrency_options(self, number: int) -> Mapping[str, object]:
        """Return the option if CONCURRENCY is set; otherwise the app decides."""
        return {"concurrency": number} if "CONCURRENCY" in self.config else {}

    def parallelism(self, args: Sequence[str]) -> int | None:
        if "CONCURRENCY" in self.config:
            return super().parallelism(args)
        if value_of("pool", args, self.option_table) == "solo":
            return 1
        scale = value_of("autoscale", args, self.option_table) or ""
        maximum = scale.partition(",")[0]
        number = maximum or value_of("concurrency", args, self.option_table)
        return keys.as_count(number or self._app_concurrency())

    def _app_concurrency(self) -> object:
        """Return the app's own setting; None if there is none, or no app."""
        try:
            return self.loaded_app().conf.worker_concurrency
        except Exception:  # the app is the project's: it may raise anything
            return None

    def why_single(self, args: Sequence[str]) -> str:
        return _TWO_BEATS if self.is_on("beat", args) else ""

    def request_concurrency(self, args: Sequence[str]) -> int | None:
        if self.option("pool", args) not in ("threads", "gevent", "eventlet"):
            return 1
        number = self.option("concurrency", args)
        return int(number) if number.isdecimal() else self.resolve("CONCURRENCY").value

    def must_exec(self, args: Sequence[str]) -> str:
        pool = self.option("pool", args)
        if "gevent" in pool or "eventlet" in pool:
            return f"{pool} patches the standard library before anything is imported"
        return ""

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # The loop runs every second or two. A slow broker, and gevent's tasks that do
        # not yield, may delay it.
        return 30

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.celery import worker_heartbeat

        worker_heartbeat.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.celery import worker_shutdown

        worker_shutdown.install_shutdown_deadline(seconds)

    def task_load(self, args: Sequence[str]) -> TaskLoad | None:
        from django_prodserver.backends.celery.task_load import CeleryTaskLoad

        return CeleryTaskLoad(self.loaded_app())

    def prepare(self, args: Sequence[str]) -> str:
        """Set the concurrency to the container's CPUs, unless it is set elsewhere."""
        conf = self.loaded_app().conf
        is_set = (
            self.option("concurrency", args)
            or self.option("autoscale", args)
            or conf.worker_concurrency
        )
        if not is_set:
            conf.worker_concurrency = self.resolve("CONCURRENCY").value
        return ""

    def prepare_after_exec(self, args: Sequence[str]) -> None:
        from celery import signals

        # Celery sends it when the app is loaded, and before it reads the concurrency.
        signals.celeryd_init.connect(lambda **_: self.prepare(args), weak=False)

    def development_options(self) -> dict[str, object]:
        return {"concurrency": 1}


class CeleryBeat(_CeleryBackend):
    """Run Celery's scheduler for the app at ``APP``."""

    title = "Celery beat"
    option_file = OptionFile(__package__, "beat_options.json")
    subcommand = "beat"
    keys = {**_CeleryBackend.keys, "GRACEFUL_TIMEOUT": "", "SINGLETON": ""}
    env_prefix = "CELERY_BEAT_"

    def why_single(self, args: Sequence[str]) -> str:
        return _TWO_BEATS

    def check_loaded(self) -> None:
        super().check_loaded()
        singleton.check_database(self.config)

    def install_singleton(self, singleton: Singleton) -> None:
        from django_prodserver.backends.celery import beat_singleton

        beat_singleton.install(singleton)

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.celery import beat_shutdown

        beat_shutdown.install_shutdown_deadline(seconds)

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # The loop runs every second. The schedule's database may delay it.
        return 30

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.celery import beat_heartbeat

        beat_heartbeat.install_heartbeat()

    def prepare(self, args: Sequence[str]) -> str:
        if self.user(args) is None:
            self._move_schedule(args)
        else:
            self.prepare_after_exec(args)  # as the other user, who may write elsewhere
        return ""

    def _move_schedule(self, args: Sequence[str]) -> None:
        """Move the schedule's file if its default directory is not writable."""
        conf = self.loaded_app().conf
        is_default = (
            not self.option("schedule", args)
            and conf.beat_schedule_filename == SCHEDULE
        )
        directory = state.runtime_directory()
        if is_default and directory and not os.access(Path.cwd(), os.W_OK):
            conf.beat_schedule_filename = str(Path(directory, SCHEDULE))

    def prepare_after_exec(self, args: Sequence[str]) -> None:
        from celery import beat

        service_class: Any = beat.Service
        native = service_class.get_scheduler

        def prepare_and_get(service: Any, *more: Any, **options: Any) -> Any:
            # The service has read the app's setting already.
            self._move_schedule(args)
            if service.schedule_filename == SCHEDULE:
                service.schedule_filename = (
                    self.loaded_app().conf.beat_schedule_filename
                )
            return native(service, *more, **options)

        # Patches celery, checked with 5.7: it has read the setting before Django is
        # set up.
        service_class.get_scheduler = prepare_and_get


class CeleryFlower(_CeleryBackend):
    """Run Flower, Celery's monitor, for the app at ``APP``."""

    title = "Flower"
    package = "flower"
    extra = "flower"
    option_file = OptionFile(__package__, "flower_options.json")
    keys: ClassVar[Mapping[str, Translation]] = {
        **CommandBackend.keys,
        "BIND": lambda backend, value: backend.bind_options(list(bind.each(value))),
    }
    subcommand = "flower"
    env_prefix = "FLOWER_"
    # It serves web pages, and one of them is for probes.
    kind = "web"

    def bind_options(self, binds: Sequence[Bind]) -> Mapping[str, object]:
        """
        Return the options for the address of ``BIND``.

        Raises:
            ConfigurationError: Flower cannot listen there.
        """
        first = binds[0]
        if len(binds) > 1 or first.fd:
            given = ", ".join(each.text for each in binds)
            message = f"['BIND'] is {safe_repr(given)}, but Flower accepts one address."
            hint = 'Write BIND as one address, such as "127.0.0.1:5555".'
            raise ConfigurationError(Fault.BAD_VALUE, message, hint)
        if first.path:
            return {"unix-socket": first.path}
        return {"address": first.host, "port": first.port}

    def addresses(self, args: Sequence[str]) -> tuple[str, ...]:
        if Path(self.option("conf", args) or "flowerconfig.py").exists():
            return ()
        if socket := self.option("unix-socket", args):
            return (addresses.unix(socket),)
        host = self.option("address", args)
        return (addresses.tcp(host, self.option("port", args) or 5555),)

    def why_single(self, args: Sequence[str]) -> str:
        return "each would show only the events since its own start"

    def speaks_tls(self, args: Sequence[str]) -> bool:
        return bool(self.option("certfile", args))

    def path(self, args: Sequence[str]) -> str:
        prefix = self.option("url-prefix", args).strip("/")
        return f"/{prefix}/healthcheck" if prefix else "/healthcheck"


def _is_inside(app: str, error: AttributeError | ModuleNotFoundError) -> bool:
    """Tell whether the user's module itself fails, rather than its path being wrong."""
    module = error.name or ""
    if isinstance(error, AttributeError):
        if error.obj is None:  # raised by find_app, with its own message
            return False
        module = getattr(error.obj, "__name__", None) or ""
    # find_app also tries "module:attribute" as the name of a module.
    return not is_missing(app.replace(":", "."), module.replace(":", "."))
