"""What keeps an application from being loaded before Gunicorn forks its workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence

from django.apps import apps

from django_prodserver.backends.gunicorn.configuration import Configuration
from django_prodserver.backends.web import WebBackend

#: The hooks that Gunicorn calls before a worker loads the application, and after we
#: would have loaded it.
_EARLY_HOOKS = ("when_ready", "pre_fork", "post_fork")
_SEEN = "which the applications should see as they are loaded"


def find(
    backend: WebBackend, args: Sequence[str], found: Configuration
) -> Iterator[str]:
    """
    Yield why Gunicorn must load the application itself, in words.

    Args:
        backend: The backend.
        args: The options of the command.
        found: What Gunicorn reads beside them.
    """
    if found.patched_by:
        yield f"{found.file} lets {found.patched_by} patch the standard library"
    if reason := backend.reloads(args):
        yield reason
    worker = backend.option("worker-class", args)
    if "gevent" in worker or "eventlet" in worker:
        yield f"{worker} patches the standard library before anything is imported"
    # With --preload, Gunicorn itself loads the application before it does these.
    if not backend.is_on("preload", args):
        yield from _other_owner(backend, args)
        for hook in found.hooks:
            if hook in _EARLY_HOOKS:
                when = "which runs before the application is loaded"
                yield f"{found.file} has a {hook} hook, {when}"
    yield from _variables(backend, args, found)
    if apps.ready:
        yield from _changes(backend, args, found)


def _other_owner(backend: WebBackend, args: Sequence[str]) -> Iterator[str]:
    """Yield the user and the group that workers change to, if they are others."""
    import grp
    import pwd

    # 0 is no change for Gunicorn.
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


def _variables(
    backend: WebBackend, args: Sequence[str], found: Configuration
) -> Iterator[str]:
    """
    Yield the variables that Gunicorn changes before it loads the application.

    The settings have been imported without them, unless the launcher has set them
    (``GunicornServer.server_environment``).
    """
    changed = {name: (found.source, value) for name, value in found.environment.items()}
    for word in backend.values("env", args):
        variable, _, text = (word or "").partition("=")
        changed.setdefault(variable, ("--env", text))
    for name, (origin, value) in changed.items():
        if os.environ.get(name) != value:
            yield f"{origin} sets {name}, {_SEEN}"


def _changes(
    backend: WebBackend, args: Sequence[str], found: Configuration
) -> Iterator[str]:
    """
    Yield what else Gunicorn changes before it loads the application.

    Only where Django is set up already, as by ``manage.py``: the applications have
    then been loaded without that change.
    """
    directory = backend.option("chdir", args)
    if os.path.realpath(directory) != os.path.realpath(""):
        yield f"Gunicorn changes to the directory {directory}, {_SEEN}"
    for path in (*backend.option("pythonpath", args).split(","), *found.path):
        if path and os.path.abspath(path) not in sys.path:  # noqa: PTH100
            yield f"Gunicorn adds {path} to sys.path, {_SEEN}"
    if found.umask:
        yield f"{found.source} sets the umask, {_SEEN}"
