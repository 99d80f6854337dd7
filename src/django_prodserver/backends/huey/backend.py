"""Huey's consumer, as its app for Django starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.conf import settings

from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.backends.elsewhere import Elsewhere, patches_first
from django_prodserver.backends.introspection import OptionFile
from django_prodserver.config.argv import FALSE
from django_prodserver.config.keys import Resolved, Translation, Unsupported
from django_prodserver.exceptions import ConfigurationError, Fault


class HueyConsumer(ManagementBackend):
    """
    Run the Huey consumer that the setting ``HUEY`` configures.

    What ``HUEY["consumer"]`` sets is stronger than our defaults.
    """

    title = "Huey"
    package = "huey"
    app = "huey.contrib.djhuey"
    extra = "huey"
    server_loggers = ("huey",)
    option_file = OptionFile(__package__)
    management_command = "run_huey"
    keys: ClassVar[Mapping[str, Translation]] = {
        **ManagementBackend.keys,
        "CONCURRENCY": "workers",
        "QUEUES": Unsupported("a consumer has one queue, named in HUEY"),
        "MAX_TASKS": "max-tasks",
        "GRACEFUL_TIMEOUT": "",
    }
    native_keys: ClassVar[Mapping[str, Translation]] = {
        "GRACEFUL_TIMEOUT": "shutdown-timeout"
    }
    defaults: ClassVar[Mapping[str, Resolved]] = {
        "graceful-signal": Resolved("TERM", "by default SIGTERM interrupts the tasks")
    }
    has_broker = True

    def why_single(self, args: Sequence[str]) -> str:
        value = (self.values("periodic", args) or [""])[-1]
        if value is None or value.lower() in FALSE:
            return ""
        return "two would run every periodic task twice, unless no-periodic is set"

    def written_value(self, key: str) -> object:
        value = super().written_value(key)
        consumer = self.configured_elsewhere(self.args).get("workers")
        if key == "CONCURRENCY" and value is None and consumer:
            return consumer.values[0]
        return value

    def configured_elsewhere(self, args: Sequence[str]) -> Mapping[str, Elsewhere]:
        huey = getattr(settings, "HUEY", None)
        # It may be an object that the settings create.
        consumer = huey.get("consumer", {}) if isinstance(huey, dict) else {}
        return {
            name: Elsewhere(name, (str(value),), "HUEY", "the consumer reads it itself")
            for name, value in _option_names(consumer).items()
        }

    def windows_obstacle(self) -> str:
        is_forked = self.option("worker-type", self.args) == "process"
        return "it forks its workers of the type process" if is_forked else ""

    def must_exec(self, args: Sequence[str]) -> str:
        worker_type = self.option("worker-type", args)
        is_patched = worker_type in ("greenlet", "gevent")
        return patches_first("gevent") if is_patched else ""

    def load(self, args: Sequence[str]) -> None:
        _check_immediate()
        super().load(args)

    def prepare_after_exec(self, args: Sequence[str]) -> None:
        _check_immediate()

    def heartbeat_max_age(self, args: Sequence[str]) -> float:
        # The loop runs ten times a second; the check of the storage may delay it.
        return 30

    def install_heartbeat(self) -> None:
        from django_prodserver.backends.huey import heartbeat

        heartbeat.install_heartbeat()

    def install_shutdown_deadline(self, seconds: float) -> None:
        from django_prodserver.backends.huey import shutdown

        shutdown.install_shutdown_deadline(seconds)

    def install_task_log(self) -> None:
        from django_prodserver.backends.huey import task_log

        task_log.install()

    def broker_kind(self) -> str:
        huey: Any = getattr(settings, "HUEY", None)
        name = type(huey).__name__
        if isinstance(huey, dict):
            name = str(huey.get("huey_class", "huey.RedisHuey"))
        return "redis" if "Redis" in name else ""

    def broker(self) -> Callable[[], object]:
        from huey.contrib.djhuey import HUEY

        check: Callable[[], object] = HUEY.storage.queue_size
        return check


def _check_immediate() -> None:
    """
    Check that tasks go to a consumer; with DEBUG, by default, they do not.

    Only at a start, because a project may be developed without a consumer.

    Raises:
        ConfigurationError: Tasks run in the process that calls them.
    """
    # Read as in huey.contrib.djhuey, which has no hook for this check.
    huey: Any = getattr(settings, "HUEY", None)
    if isinstance(huey, dict):
        written = {**huey, **(huey.get("connection") or {})}
        is_default = "immediate" not in written
        is_immediate = written.get("immediate", settings.DEBUG)
    else:  # an object that the settings create, or nothing
        is_default, is_immediate = False, getattr(huey, "immediate", False)
    if not is_immediate:
        return
    why = ": DEBUG is True, and HUEY does not set immediate" if is_default else ""
    raise ConfigurationError(
        Fault.BAD_VALUE,
        f"HUEY runs tasks immediately, without a consumer{why}.",
        'Write "immediate": False in HUEY.',
    )


def _option_names(consumer: Mapping[str, object]) -> dict[str, object]:
    """Return the values of ``HUEY["consumer"]`` by the names of their options."""
    different = {"initial-delay": "delay"}
    names = {key: key.replace("_", "-") for key in consumer}
    return {different.get(names[key], names[key]): consumer[key] for key in consumer}
