"""The options of the installed django-dramatiq."""

from __future__ import annotations

from django_prodserver.backends.introspection.installed import ManagementOptions
from django_prodserver.config.argv import Option


class RunDramatiqOptions(ManagementOptions):
    """Read the options of ``rundramatiq``."""

    def read_options(self) -> list[Option]:
        # "--reload" and "--watch" are stored under one name, which is of neither.
        return [
            option._replace(
                spellings=tuple(s for s in option.spellings if s != "watch-dir")
            )
            for option in super().read_options()
        ]


TABLES = {
    "options.json": RunDramatiqOptions(
        "django-dramatiq",
        "django_dramatiq",
        "rundramatiq",
        settings={
            "DRAMATIQ_BROKER": {"BROKER": "dramatiq.brokers.stub.StubBroker"},
        },
        defaults={"processes": "the CPUs"},
    ),
}
