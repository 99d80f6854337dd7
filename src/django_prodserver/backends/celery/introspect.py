"""The options of the installed Celery: its worker, its scheduler and Flower."""

from __future__ import annotations

from collections.abc import Iterator

from django_prodserver.backends.introspection.installed import (
    ClickOptions,
    InstalledOptions,
    OptionHelp,
    refused_number,
)
from django_prodserver.backends.introspection.parsers import option_of
from django_prodserver.config.argv import Option


class FlowerOptions(InstalledOptions):
    """Read Flower's options, which it defines with tornado."""

    def read_options(self) -> list[Option]:
        from flower.options import default_options

        # A repeated option replaces the previous one, so several values are written
        # as one, with commas. A function can only be set in Flower's file.
        return sorted(
            option_of("bool" if known.type is bool else "value", [f"--{name}"])
            for name, known in default_options._options.items()
            if name != "help" and known.type in (bool, float, int, str)
        )

    def refusal(self, flag: str, text: str) -> str:
        from flower.options import default_options

        known = default_options._options.get(flag.removeprefix("--"))
        return refused_number(known.type, text) if known else ""

    def describe(self) -> Iterator[tuple[str, OptionHelp]]:
        from flower.options import default_options

        for name, known in default_options._options.items():
            yield name.replace("_", "-"), OptionHelp(known.default, known.help or "")


TABLES: dict[str, InstalledOptions] = {
    "worker_options.json": ClickOptions(
        "celery",
        "celery.bin.worker",
        "worker",
        defaults={"hostname": "celery@%h"},
        help={
            "autoscale": "The most and fewest child processes, such as 10,3.",
            "beat": "Run the scheduler in this worker.",
            "exclude-queues": "Queues to ignore.",
            "heartbeat-interval": "Seconds between heartbeats to the broker.",
            "include": "Additional modules to import.",
            "purge": "Delete all waiting tasks before the start.",
            "queues": "Queues to take tasks from.",
            "schedule-filename": "The schedule file of the scheduler in this worker.",
            "scheduler": "The class of the scheduler in this worker.",
            "without-gossip": "Do not listen to the events of other workers.",
            "without-heartbeat": "Do not send heartbeat events.",
            "without-mingle": "Do not synchronize with other workers at the start.",
        },
    ),
    "beat_options.json": ClickOptions("celery", "celery.bin.beat", "beat"),
    "flower_options.json": FlowerOptions("flower"),
}
