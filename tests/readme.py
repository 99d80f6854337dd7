"""
The README's tables of neutral keys, out of the code.

``python -m tests.readme`` writes them; a test compares.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django_prodserver import vocabulary
from django_prodserver.backends import loading
from django_prodserver.backends.base import Backend
from django_prodserver.conf import Process
from django_prodserver.vocabulary import Cannot, Key

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- keys: python -m tests.readme -->\n", "<!-- /keys -->\n"
#: The columns, and the backends that share one: the second is for WSGI.
WEB = {
    "Gunicorn": ["gunicorn.GunicornServer"],
    "Uvicorn": ["uvicorn.UvicornServer", "uvicorn.UvicornWSGIServer"],
    "Granian": ["granian.GranianASGIServer", "granian.GranianWSGIServer"],
    "Waitress": ["waitress.WaitressServer"],
}
WORKERS = {
    "Celery": ["celery.CeleryWorker"],
    "Django Tasks": ["django_tasks.DjangoTasksWorker"],
    "Django-Q2": ["django_q2.DjangoQ2Worker"],
}
#: A value of each key whose options a function makes.
EXAMPLES: Mapping[str, Any] = {
    "BIND": "127.0.0.1:8000",
    "QUEUES": ["a"],
    "TRUSTED_PROXIES": ["10.0.0.0/8"],
    "LOG_LEVEL": "info",
}


def tables() -> str:
    """Return the tables, as they are in the README."""
    return "\n".join(
        [
            *_table({**vocabulary.WEB, **vocabulary.SHARED}, WEB),
            "",
            *_table({**vocabulary.WORKER, **vocabulary.SHARED}, WORKERS),
            "",
        ]
    )


def written() -> str:
    """Return what the README has."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


def _table(keys: Mapping[str, Key], columns: Mapping[str, list[str]]) -> Iterable[str]:
    yield f"| Key | Meaning | {' | '.join(columns)} |"
    yield f"| --- | --- |{' --- |' * len(columns)}"
    for key, known in keys.items():
        backends = [[_made(path) for path in paths] for paths in columns.values()]
        if not any(key in backend.keys for column in backends for backend in column):
            continue
        cells = [_cell(key, column) for column in backends]
        yield f"| `{key}` | {_meaning(known)} | {' | '.join(cells)} |"


def _meaning(known: Key) -> str:
    if known.default is None:
        return known.meaning
    return f"{known.meaning} Default `{known.default!r}`: {known.why}."


def _cell(key: str, column: list[Backend]) -> str:
    said = [_becomes(backend, key) for backend in column]
    if len(set(said)) == 1:
        return said[0]
    return ", ".join(
        f"{word} ({kind})" for word, kind in zip(said, ("ASGI", "WSGI"), strict=True)
    )


def _becomes(backend: Backend, key: str) -> str:
    becomes = backend.keys.get(key, Cannot(""))
    if isinstance(becomes, Cannot):
        return "no"
    backend.config = {**backend.config, key: None}
    value = EXAMPLES.get(key, 1)
    options = backend.translate(key, value)
    return ", ".join(f"`{option}`" for option in options) or "yes"


def _made(path: str) -> Backend:
    config = {"BACKEND": f"django_prodserver.backends.{path}", "APP": "a.b"}
    backend = loading.load(Process("web", config))
    assert isinstance(backend, Backend)
    return backend


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
    sys.path.insert(0, str(README.parent / "tests" / "project"))
    head, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{head}{BEGIN}{tables()}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
