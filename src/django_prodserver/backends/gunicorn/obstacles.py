"""Reasons not to load an application before Gunicorn forks its workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence

from django_prodserver.backends.elsewhere import SEEN, late, patches_first
from django_prodserver.backends.web import WebBackend

#: The hooks that Gunicorn calls before a worker loads the application, and after we
#: would have loaded it.
_EARLY_HOOKS = ("when_ready", "pre_fork", "post_fork")


def variables(backend: WebBackend, args: Sequence[str]) -> dict[str, str]:
    """Return the variables that ``--env`` sets."""
    words = [word or "" for word in backend.values("env", args)]
    return {name: text for name, _, text in (word.partition("=") for word in words)}


def find(backend: WebBackend, args: Sequence[str]) -> Iterator[str]:
    """Yield the reasons why Gunicorn must load the application itself."""
    worker = backend.option("worker-class", args)
    if "gevent" in worker or "eventlet" in worker:
        yield patches_first(worker)
    # With --preload, Gunicorn itself loads the application before it does these.
    if not backend.is_on("preload", args):
        yield from _other_owner(backend, args)
        found = backend.configuration(args)
        for hook in found.hooks:
            if hook in _EARLY_HOOKS:
                when = "which runs before the application is loaded"
                yield f"{found.source} has a {hook} hook, {when}"
    environment = backend.initial_environment(args)
    for name, text in variables(backend, args).items():
        if environment.get(name) != text:
            yield f"--env sets {name}, {SEEN}"
    directory = backend.option("chdir", args)
    if os.path.realpath(directory) != os.path.realpath(""):
        yield from late(f"Gunicorn changes to the directory {directory}")
    for path in backend.option("pythonpath", args).split(","):
        if path and os.path.abspath(path) not in sys.path:  # noqa: PTH100
            yield from late(f"Gunicorn adds {path} to sys.path")


def _other_owner(backend: WebBackend, args: Sequence[str]) -> Iterator[str]:
    """Yield the user and the group that workers change to, if they differ."""
    import grp
    import pwd

    # Gunicorn does not change to 0.
    uid = _number(backend.option("user", args), lambda name: pwd.getpwnam(name).pw_uid)
    if uid not in (0, os.getuid()):
        yield _changes_to("user", uid, lambda uid: pwd.getpwuid(uid).pw_name)
    gid = _number(backend.option("group", args), lambda name: grp.getgrnam(name).gr_gid)
    if gid not in (0, os.getgid()):
        yield _changes_to("group", gid, lambda gid: grp.getgrgid(gid).gr_name)


def _number(text: str, look_up: Callable[[str], int]) -> int:
    """Return a user's or group's number; 0 if it is not given or not known."""
    if text.isdecimal():
        return int(text)
    try:
        return look_up(text)
    except KeyError:  # Gunicorn reports it
        return 0


def _changes_to(what: str, number: int, look_up: Callable[[int], str]) -> str:
    try:
        name = look_up(number)
    except KeyError:
        name = str(number)
    return f"Gunicorn changes to the {what} {name!r} before it loads the application"
