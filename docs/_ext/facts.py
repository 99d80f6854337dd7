"""The tables of the pages, made from the code: nothing here is kept by hand."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import filterfalse
from pathlib import Path
from typing import Any

import django_prodserver.logs
from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend, CommandBackend
from django_prodserver.backends.web import WebBackend
from django_prodserver.checks.ids import WarningId
from django_prodserver.config import environment as variables
from django_prodserver.config import keys as portable
from django_prodserver.config import processes
from django_prodserver.config.argv import render
from django_prodserver.config.keys import Key, Unsupported
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ExitCode, Fault
from django_prodserver.health import probe
from docs._ext.tables import Table, code, codes, of_named
from tests.equality.differences import DIFFERENCES
from tests.processes.flavours import FLAVOURS

ROOT = Path(__file__).parent.parent.parent
BACKENDS = "django_prodserver.backends"
KEYS = {
    "web": portable.WEB,
    "worker": portable.WORKER,
    "shared": portable.SHARED,
}
#: A value of each key.
EXAMPLES: Mapping[str, Any] = {
    "BIND": "0.0.0.0:8000",
    "WORKERS": 4,
    "THREADS": 4,
    "TIMEOUT": 60,
    "KEEP_ALIVE": 65,
    "MAX_REQUESTS": 1000,
    "CERTFILE": "/run/secrets/tls.crt",
    "KEYFILE": "/run/secrets/tls.key",
    "ROOT_PATH": "/shop",
    "TRUSTED_PROXIES": ["10.0.0.0/8"],
    "ACCESS_LOG": False,
    "WARM_UP": ["/", "/search/?q=a"],
    "CONCURRENCY": 4,
    "QUEUES": ["default", "mail"],
    "MAX_TASKS": 1000,
    "SINGLETON": True,
    "GRACEFUL_TIMEOUT": 25,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}
_DONE = "no option: django-prodserver does it"


def backend(path: str, **config: Any) -> Backend:
    """Return one of our own backends, by its path within ``backends``."""
    needed = {"APP": "shop.celery.app", "COMMAND": "run_bot"}
    config = {"BACKEND": f"{BACKENDS}.{path}", **needed, **config}
    found = loader.load(Process("web", config))
    if not isinstance(found, Backend):
        raise TypeError(path)
    return found


def known() -> dict[str, Backend]:
    """Return all of our own backends."""
    paths = [path.removeprefix(f"{BACKENDS}.") for path in loader.known_backends()]
    return {path: backend(path) for path in (*paths, "management.ManagementCommands")}


def columns(kind: str) -> dict[str, list[CommandBackend]]:
    """Return the backends that take the keys of a kind, by the title they share."""
    if kind == "shared":
        return {**columns("web"), **columns("worker")}
    own = KEYS[kind]
    # Last those that need no package.
    extras = [*_project()["optional-dependencies"], ""]
    chosen = [
        found
        for found in known().values()
        if isinstance(found, CommandBackend)
        and any(key in found.keys for key in own)
        # Flower takes one of the keys of web servers, and is none to choose.
        and isinstance(found, WebBackend) is (kind == "web")
    ]
    by_title: dict[str, list[CommandBackend]] = {}
    for found in sorted(chosen, key=lambda found: extras.index(found.extra)):
        by_title.setdefault(found.title, []).append(found)
    return by_title


def neutral_keys(kind: str, *, short: bool = False) -> Table:
    """
    Return the table of the keys of a kind: "web", "worker" or "shared".

    Args:
        short: Without the column of the form.
    """
    shared = kind == "shared"
    by_title = columns(kind)
    head = ["Key", "Meaning", *([] if short else ["Form"]), *by_title]
    chosen = KEYS[kind] if shared or not short else {**KEYS[kind], **portable.SHARED}
    rows = [
        (
            key,
            [
                _meaning(key),
                *_form(key, short),
                *(_cell(key, column) for column in by_title.values()),
            ],
        )
        for key in chosen
    ]
    return of_named("key", head, rows)


def key_translation(paths: Sequence[str]) -> Table:
    """Return the options for each portable setting, with a column per backend."""
    found = [backend(path) for path in paths]
    rows = [
        [code(f'"{key}": {_literal(EXAMPLES[key])}'), *(_words(f, key) for f in found)]
        for key in portable.KEYS
        if any(key in f.keys for f in found)
    ]
    names = [f"Becomes for {path.partition('.')[2]}" for path in paths]
    return Table(("Key", *(names if len(paths) > 1 else ["Becomes"])), rows)


def settings_keys() -> Table:
    """Return the keys of a process that are not portable settings."""
    texts = dict(processes.KEYS)
    for found in known().values():
        texts |= found.own_keys
    rows = [(key, [text]) for key, text in texts.items()]
    return of_named("key", ("Key", "Meaning"), rows)


def environment() -> Table:
    return of_named(
        "envvar",
        ("Variable", "Meaning", "Default"),
        [(name, list(texts)) for name, texts in variables.VARIABLES.items()],
    )


def exit_codes() -> Table:
    own = [(str(int(found)), found.meaning) for found in ExitCode]
    rows = [
        ("the server's own", "The server was started."),
        ("0", "A release or a command that only prints has succeeded."),
        *own,
    ]
    return Table(("Code", "When"), [(_maybe_code(c), text) for c, text in rows])


def probe_exit_codes() -> Table:
    rows = [(code(number), text) for number, text in probe.EXIT_CODES.items()]
    return Table(("Code", "Answer"), rows)


def checks() -> Table:
    """Return the IDs of the checks, with the level of each where it is reported."""
    return of_named(
        "check",
        ("ID", "Meaning", "`check`", "`check --deploy`", "Start"),
        [
            (found.value, [found.meaning, *_levels(found)])
            for found in (*Fault, *WarningId)
        ],
    )


def _levels(found: Fault | WarningId) -> tuple[str, str, str]:
    """Return what a check, a deployment check and a start make of it; "" is nothing."""
    if isinstance(found, WarningId):
        level = "info" if found is WarningId.SQLITE else "warning"
        return "" if found.deploy_only else level, level, ""
    if found is Fault.NO_SETTINGS:
        return "", "", "error"
    plain = "warning" if found.depends_on_environment else "error"
    return plain, "error", "traceback" if found is Fault.LOADING_FAILS else "error"


def extras() -> Table:
    """Return the extras, each with what it installs."""
    rows = []
    for name, needs in _project()["optional-dependencies"].items():
        what = codes(needs) if name != "all" else "All but `conformance`."
        rows.append((code(f'pip install "django-prodserver[{name}]"'), what))
    return Table(("Command", "Installs"), rows)


def comparison() -> Table:
    """Return what each backend is, side by side."""
    head = (
        *("`django_prodserver.backends.`", "What it does", "`async` views"),
        *("Processes", "Requests or tasks per process", "TLS"),
        *("Replaces hung workers", "Platforms"),
    )
    order = [*filter(_is_web, known().items()), *filterfalse(_is_web, known().items())]
    return Table(head, [_compared(path, found) for path, found in order])


def log_fields() -> Table:
    schema = json.loads(
        Path(django_prodserver.logs.__path__[0], "schema.json").read_text()
    )
    required = schema["required"]
    rows = [
        (
            code(name),
            "every line" if name in required else "",
            field.get("type", "string"),
            _described(field),
        )
        for name, field in schema["properties"].items()
    ]
    return Table(("Field", "In", "Type", "What it is"), rows)


def start_differences() -> Table:
    """Return what an application can tell from a start with the native command."""
    head = ("What the application sees", "With the native command", "Here", "Why")
    rows = [(each.what, each.native, each.ours, each.why) for each in DIFFERENCES]
    return Table(head, rows)


def fork_flavours() -> Table:
    """Return what applications make while they are loaded, and what comes of it."""
    rows = []
    for what, reason in FLAVOURS.values():
        said = code(f"… {reason.strip(', (')} …") if reason else ""
        rows.append((what[0].upper() + what[1:], "no" if reason else "yes", said))
    return Table(("The application makes", "Preloaded", "Message in the log"), rows)


def tested_with() -> Table:
    """Return the releases that all tests run with."""
    pins = _pins()
    rows = [
        (name, ", ".join(pins[name]))
        for found in _extras().values()
        for name in found
        if name in pins
    ]
    pairs = re.findall(r'\("(3\.\d+)", "(\d\.\d)"\)', (ROOT / "noxfile.py").read_text())
    pythons = [f"Python {p} with Django {d}" for p, d in pairs]
    rows = [("Python and Django", "; ".join(pythons)), *rows]
    return Table(("Package", "Release"), list(dict.fromkeys(rows)))


def version_of(package: str) -> str:
    """Return the release of a package that everything is tested with."""
    return _pins()[package][-1]


def _project() -> dict[str, Any]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return dict(found["project"])


def _extras() -> dict[str, list[str]]:
    return {
        name: [re.split(r"[\[>=<]", need)[0] for need in needs]
        for name, needs in _project()["optional-dependencies"].items()
        if name != "all"
    }


def _pins() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        name, _, rest = line.partition("==")
        found.setdefault(name, []).append(rest.partition(" ;")[0])
    return found


def _is_web(named: tuple[str, Backend]) -> bool:
    return isinstance(named[1], WebBackend)


def _compared(path: str, found: Backend) -> Sequence[str]:
    everywhere = "Linux, macOS, Windows"
    if not isinstance(found, CommandBackend):
        return (code(path), _kind(found), "", "1", "1 command", "", "", everywhere)
    threads = found.request_concurrency(found.args)
    at_a_time = "unlimited" if threads is None else str(threads)
    many = "THREADS" in found.keys and not isinstance(
        found.keys["THREADS"], Unsupported
    )
    several = [k for k in ("WORKERS", "CONCURRENCY") if _takes(found, k)]
    return (
        code(path),
        _kind(found),
        _async_views(found),
        codes(several) or "1",
        code("THREADS") if many else at_a_time,
        "yes" if _takes(found, "CERTFILE") else "",
        "yes" if _takes(found, "TIMEOUT") else "",
        "Linux, macOS" if found.windows_obstacle() else everywhere,
    )


def _async_views(found: CommandBackend) -> str:
    """Return whether ``async`` views run in an event loop, or each in a thread."""
    kinds = _interfaces(found) if isinstance(found, WebBackend) else []
    if "WSGI" not in kinds:
        return "yes" if kinds else ""
    return "with ASGI" if "ASGI" in kinds else "in threads"


def _interfaces(found: WebBackend) -> list[str]:
    """Return the interfaces that a server has, its default first."""
    kinds = [found.interface_for(a) for a in ([], ["--worker-class=asgi"])]
    return [kind.upper() for kind in dict.fromkeys(kinds)]


def _kind(found: Backend) -> str:
    if isinstance(found, WebBackend):
        return f"Serve the site ({' or '.join(_interfaces(found))})"
    first = (found.__doc__ or "").strip().partition(".\n")[0].partition("\n")[0]
    return first.rstrip(".").replace("``", "`")


def _takes(found: Backend, key: str) -> bool:
    return not isinstance(found.keys.get(key, Unsupported("")), Unsupported)


def _meaning(key: str) -> str:
    known: Key = portable.KEYS[key]
    if known.default is None:
        return known.meaning
    return f"{known.meaning} Default `{known.default!r}`: {known.why}."


def _form(key: str, short: bool) -> Iterator[str]:
    if not short:
        yield portable.KEYS[key].form


def _cell(key: str, column: list[CommandBackend]) -> str:
    texts = [_becomes(found, key) for found in column]
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(
        f"{text} ({_interface(found)})"
        for text, found in zip(texts, column, strict=True)
    )


def _interface(found: CommandBackend) -> str:
    return found.interface.upper() if isinstance(found, WebBackend) else found.title


def _becomes(found: Backend, key: str) -> str:
    if not _takes(found, key):
        return "no"
    return codes(_options(found, key)) or "yes"


def _options(found: Backend, key: str) -> Mapping[str, object]:
    if not isinstance(found, CommandBackend):
        return {}
    found.config = {**found.config, key: EXAMPLES[key]}
    return found.translate(key, EXAMPLES[key])


def _words(found: Backend, key: str) -> str:
    if key not in found.keys:
        return "no such key"
    becomes = found.keys[key]
    if isinstance(becomes, Unsupported):
        return f"no: {becomes.why}"
    if not isinstance(found, CommandBackend):
        return _DONE
    words = render(_options(found, key), found.option_table)
    # Where it is installed is this machine's affair.
    here = str(Path(django_prodserver.logs.__path__[0]))
    return codes(shlex.quote(word.replace(here, "...")) for word in words) or _DONE


def _literal(value: object) -> str:
    return json.dumps(value) if not isinstance(value, bool) else repr(value)


def _maybe_code(text: str) -> str:
    return code(text) if text.isdecimal() else text


def _described(field: Mapping[str, Any]) -> str:
    text = str(field["description"])
    return f"{text} One of {codes(field['enum'])}." if "enum" in field else text
