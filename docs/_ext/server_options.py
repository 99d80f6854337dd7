"""The options of the installed servers, with the servers' own words and defaults."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

from django_prodserver.backends.base import CommandBackend
from django_prodserver.backends.introspection import readers
from django_prodserver.config.argv import Option, OptionTable, value_of
from docs._ext import facts
from docs._ext.tables import Table, code

#: Defaults that depend on the machine, or on its environment.
_EVERYWHERE = {
    "gunicorn": {
        "bind": "127.0.0.1:8000, or 0.0.0.0:$PORT",
        "chdir": ".",
        "control-socket": "$HOME/.gunicorn/gunicorn.ctl",
        "forwarded-allow-ips": "127.0.0.1,::1, or $FORWARDED_ALLOW_IPS",
        "group": "the user's",
        "user": "the user's",
        "workers": "1, or $WEB_CONCURRENCY",
    },
    "celery_worker": {"hostname": "celery@%h"},
    "db_worker": {"reload": "DEBUG", "worker-id": "random letters"},
    "waitress": {"unix-socket-perms": "600"},
}
#: Where the server says nothing of an option.
_UNTOLD = {
    "celery_worker": {
        "autoscale": "The most and the fewest child processes, as in 10,3.",
        "beat": "Run the scheduler in this worker.",
        "exclude-queues": "The queues to take nothing from.",
        "heartbeat-interval": "Seconds between two heartbeats to the broker.",
        "include": "More modules to import.",
        "purge": "Delete all tasks that wait, before it starts.",
        "queues": "The queues to take tasks from.",
        "schedule": "The file of the scheduler in this worker.",
        "scheduler": "The class of the scheduler in this worker.",
        "without-gossip": "Do not listen to what other workers say.",
        "without-heartbeat": "Send no events that say it is alive.",
        "without-mingle": "Do not ask other workers at the start.",
    },
    "waitress": {
        "graceful-timeout": "Seconds that a stop waits for requests; ours.",
        "trusted-proxy": "The proxy whose headers are believed.",
    },
}


class Said(NamedTuple):
    """What a server says of an option."""

    default: object
    help: str


def options(server: str, names: list[str]) -> Table:
    """
    Return the table of some options of a server.

    Raises:
        LookupError: The installed server has no option of that name.
    """
    package = readers.PACKAGES.get(server, server)
    release = f"{package} {version(package)}"
    found = OptionTable(readers.READERS[server]())
    said: dict[str, Said] = {}
    for name, told in _SAYS[server](server):
        said.setdefault(name, told)  # "--x" is before "--no-x"
    ours = _our_defaults(server)
    rows = []
    for name in names:
        option, _ = found.find(name)
        if option.name != name or not found.knows(name):
            message = f"{release} has no option --{name}"
            raise LookupError(message)
        told = said.get(name, Said(None, ""))
        default = _EVERYWHERE.get(server, {}).get(name) or _text(told.default, option)
        help = _UNTOLD.get(server, {}).get(name) or _sentence(told.help)
        if not help:
            message = f"{release} says nothing of --{name}: write it in _UNTOLD"
            raise LookupError(message)
        rows.append((code(name), option.kind, default, ours(name), help))
    head = ("Option", "Value", f"Default in {release}", "Default here", "Meaning")
    return Table(head, rows)


def _our_defaults(server: str) -> Callable[[str], str]:
    made = [
        (path, found)
        for path, found in facts.known().items()
        if isinstance(found, CommandBackend) and found.table == server
    ]

    def ours(name: str) -> str:
        found = {
            path.partition(".")[2]: _our_default(backend, name)
            for path, backend in made
        }
        if len(set(found.values())) < 2:
            return next(iter(found.values()), "")
        return ", ".join(f"{text} ({cls})" for cls, text in found.items() if text)

    return ours


def _our_default(backend: CommandBackend, name: str) -> str:
    given = value_of(name, backend.args, backend.option_table)
    if given is None:
        return ""
    return code(given.rpartition("/site-packages/")[2]) if given else "on"


def _text(default: object, option: Option) -> str:
    if isinstance(default, enum.Enum):
        default = default.value
    if isinstance(default, list | tuple):
        default = ", ".join(map(str, default))
    if option.kind in ("flag", "bool") and isinstance(default, bool | None):
        return "on" if default else "off"
    return code(default) if default not in (None, "") else ""


def _sentence(text: str) -> str:
    """Return the first sentence of a help text, on one line."""
    line = " ".join(text.replace("``", "`").replace("%%", "%").split())
    if not line:
        return ""
    found = re.match(r"(.*?[^.]\.)(?= [A-Z(]|$)", line)
    first = found[1] if found else line
    return first[:1].upper() + first[1:] if first.endswith(".") else f"{first}."


def _gunicorn(server: str) -> Iterator[tuple[str, Said]]:
    from gunicorn.config import KNOWN_SETTINGS

    for setting in KNOWN_SETTINGS:
        # Its texts are reStructuredText.
        text = re.sub(r"\.\. \w+::.*", "", setting.desc)
        text = re.sub(r":\w+:`([^<`]+)[^`]*`", r"\1", text)
        for flag in setting.cli or ():
            name = flag.lstrip("-").removeprefix("no-").replace("_", "-")
            yield name, Said(setting.default, text)


def _click(module: str, name: str) -> Callable[[str], Iterator[tuple[str, Said]]]:
    def say(server: str) -> Iterator[tuple[str, Said]]:
        for parameter in getattr(import_module(module), name).params:
            # Public, unlike the attributes, some of which hold click's sentinels.
            said = parameter.to_info_dict()
            for flag in said["opts"]:
                yield flag.lstrip("-"), Said(said["default"], said.get("help") or "")

    return say


def _waitress(server: str) -> Iterator[tuple[str, Said]]:
    from waitress.adjustments import Adjustments
    from waitress.runner import HELP

    entry = re.compile(r"\n    --(?:\[no-\])?([a-z0-9-]+).*\n((?:        .*\n)+)")
    for name, text in entry.findall(HELP):
        yield name, Said(getattr(Adjustments, name.replace("-", "_"), None), text)


def _flower(server: str) -> Iterator[tuple[str, Said]]:
    from flower.options import default_options

    for name, known in default_options._options.items():
        yield name.replace("_", "-"), Said(known.default, known.help or "")


def _command(app: str) -> Callable[[str], Iterator[tuple[str, Said]]]:
    def say(server: str) -> Iterator[tuple[str, Said]]:
        from django.core.management import load_command_class

        parser = load_command_class(app, server).create_parser("", server)
        for action in parser._actions:
            for flag in action.option_strings:
                text = (action.help or "") % vars(action)
                name = flag.lstrip("-").removeprefix("no-")
                yield name, Said(action.default, text)

    return say


_SAYS: dict[str, Callable[[str], Iterator[tuple[str, Said]]]] = {
    "gunicorn": _gunicorn,
    "uvicorn": _click("uvicorn.main", "main"),
    "granian": _click("granian.cli", "cli"),
    "waitress": _waitress,
    "celery_worker": _click("celery.bin.worker", "worker"),
    "celery_beat": _click("celery.bin.beat", "beat"),
    "celery_flower": _flower,
    "db_worker": _command("django_tasks_db"),
    "qcluster": _command("django_q"),
    "rqworker": _command("django_rq"),
}
