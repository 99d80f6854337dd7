"""
``PRODSERVER_HEALTH``: the checks and the paths of ``HealthMiddleware``.

It is a setting of the project and not a key of a process, because the middleware is
the same in every process and cannot know its process if the server was started by
hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from django_prodserver.config.wait_for import split_alias
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.text import did_you_mean, is_dotted_path, safe_repr

MIDDLEWARE = "django_prodserver.health.middleware.HealthMiddleware"
#: The checks that have a name, each with the setting that defines its aliases.
NAMED = {"database": "DATABASES", "migrations": "DATABASES", "cache": "CACHES"}
_KEYS = ("CHECKS", "TIMEOUT", "MAX_AGE", "LIVE_PATH", "READY_PATH")


@dataclass(frozen=True)
class Health:
    """
    The setting, with its defaults.

    Attributes:
        checks: What must work for the process to be ready: ``database``,
            ``migrations``, ``cache``, each with ``:alias`` for an alias other than
            ``default``, and dotted paths of functions without arguments.
        timeout: Seconds that each check may take; they run at the same time, so the
            response takes no longer. Less than 1 s, after which Kubernetes and the
            probe time out.
        max_age: Seconds for which a result is reused.
        live_path: The path of the liveness endpoint.
        ready_path: The path of the readiness endpoint.
    """

    checks: tuple[str, ...] = ()
    timeout: float = 0.5
    max_age: float = 1
    live_path: str = "/-/live"
    ready_path: str = "/-/ready"


def is_installed() -> bool:
    """Return whether the project uses the middleware."""
    return MIDDLEWARE in settings.MIDDLEWARE


def load() -> Health:
    """
    Return the setting, validated.

    Raises:
        ConfigurationError: The first fault in it.
    """
    for fault in faults():
        raise fault
    given = {key.lower(): value for key, value in _given().items()}
    # A name that is listed twice is checked once.
    given["checks"] = tuple(dict.fromkeys(given.get("checks", ())))
    return Health(**given)


def faults() -> Iterator[ConfigurationError]:
    """Yield the faults of the setting that can be found without importing anything."""
    given = _given()
    if not isinstance(given, Mapping):
        hint = 'For example: PRODSERVER_HEALTH = {"CHECKS": ["database"]}'
        yield fault(f" is {safe_repr(given)}, not a dictionary.", hint)
        return
    forms = {
        "CHECKS": ('["database", "project.health.check"]', _is_words),
        "TIMEOUT": ("a number of seconds up to 60, such as 0.5", _is_timeout),
        "MAX_AGE": ("a number of seconds, such as 1", _is_age),
        "LIVE_PATH": ('a path, such as "/-/live"', _is_path),
        "READY_PATH": ('a path, such as "/-/ready"', _is_path),
    }
    for key, value in given.items():
        if key not in forms:
            hint = f"{did_you_mean(str(key), _KEYS)} Valid keys: {', '.join(_KEYS)}."
            yield fault(f" has the unknown key {safe_repr(key)}.", hint.strip())
        elif not forms[key][1](value):
            yield fault(f"[{key!r}] is {safe_repr(value)}.", f"Write {forms[key][0]}.")
        elif key == "CHECKS":
            yield from filter(None, map(_check_fault, value))
    live = given.get("LIVE_PATH", Health.live_path)
    if live == given.get("READY_PATH", Health.ready_path):
        message = f" has {safe_repr(live)} for both LIVE_PATH and READY_PATH."
        yield fault(message, "Use a different path for each.")


def fault(message: str, hint: str) -> ConfigurationError:
    """Return an error about the setting."""
    return ConfigurationError(Fault.BAD_HEALTH, f"PRODSERVER_HEALTH{message}", hint)


def missing_alias(name: str, alias: str) -> tuple[str, str]:
    """
    Return what is wrong with a name and its alias, and a hint; "" if it exists.

    Args:
        name: A key of ``NAMED``.
        alias: The alias, in the setting that ``NAMED`` has for it.
    """
    known = list(getattr(settings, NAMED[name]))
    if alias in known:
        return "", ""
    hint = f"{did_you_mean(alias, known)} It has: {', '.join(known)}.".strip()
    if not known:
        hint = f"Add {NAMED[name]}[{alias!r}] to the settings, or remove it here."
    return f"{NAMED[name]} has no {safe_repr(alias)}", hint


def _given() -> Any:
    return getattr(settings, "PRODSERVER_HEALTH", {})


def _check_fault(check: str) -> ConfigurationError | None:
    name, alias = split_alias(check)
    if name in NAMED:
        problem, hint = missing_alias(name, alias)
        if not problem:
            return None
        return fault(f"['CHECKS'] has {safe_repr(check)}, but {problem}.", hint)
    if is_dotted_path(check):
        return None
    hint = f"{did_you_mean(name, NAMED)} Use {', '.join(NAMED)}, or a dotted path."
    return fault(f"['CHECKS'] has {safe_repr(check)}.", hint.strip())


def _is_words(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(w, str) for w in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_timeout(value: Any) -> bool:
    return _is_number(value) and 0 < value <= 60


def _is_age(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 3600


def _is_path(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("/")
        and value.isascii()
        and value.isprintable()
        and not set(value) & set(" ?#%")
    )
