"""Every fault of the settings as a Django system check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from django_prodserver.backends import loading
from django_prodserver.exceptions import ConfigurationError
from django_prodserver.health import conf as health

TAG = "prodserver"


def check_processes(**kwargs: Any) -> list[CheckMessage]:
    """Return all faults at once; a start stops at the first."""
    return [_error(fault) for fault in loading.all_faults()]


def check_health(**kwargs: Any) -> list[CheckMessage]:
    """Return the faults of ``PRODSERVER_HEALTH``, and where its middleware is not."""
    faults = list(health.faults())
    if not faults and health.is_installed():
        faults = list(_unknown_functions())
    return [*map(_error, faults), *_place()]


def _unknown_functions() -> Iterator[ConfigurationError]:
    # Not above: it would make the database's modules part of every start.
    from django_prodserver.health.checks import Check

    for name in health.load().checks:
        try:
            Check(name, health.load())
        except ConfigurationError as fault:
            yield fault


def _place() -> Iterator[Warning]:
    if not health.is_installed():
        if hasattr(settings, "PRODSERVER_HEALTH"):
            message = "PRODSERVER_HEALTH is set, and nothing answers it."
            hint = f"Put {health.MIDDLEWARE!r} first into MIDDLEWARE."
            yield Warning(message, hint=hint, id="prodserver.W020")
    elif settings.MIDDLEWARE[0] != health.MIDDLEWARE:
        message = f"HealthMiddleware is behind {settings.MIDDLEWARE[0]!r}."
        hint = "Put it first: what comes before it can redirect a probe, or refuse it."
        yield Warning(message, hint=hint, id="prodserver.W021")


def _error(fault: ConfigurationError) -> Error:
    return Error(fault.message, hint=fault.hint or None, id=fault.fault)
