"""Entries of PRODUCTION_PROCESSES for the servers under test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BACKENDS = "django_prodserver.backends"
_BACKENDS = {
    "gunicorn": "gunicorn.GunicornServer",
    "granian-asgi": "granian.GranianASGIServer",
    "granian-wsgi": "granian.GranianWSGIServer",
    "uvicorn": "uvicorn.UvicornServer",
    "uvicorn-wsgi": "uvicorn.UvicornWSGIServer",
    "hypercorn": "hypercorn.HypercornServer",
    "waitress": "waitress.WaitressServer",
}


def config(
    server: str, port: int, args: Mapping[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """
    Return the entry of a server on a port of 127.0.0.1.

    Args:
        server: Its name; "gunicorn-4" is one with 4 workers.
        port: The port.
        args: More of its options.
        keys: More keys of the entry.
    """
    name, _, workers = server.rpartition("-")
    if not workers.isdecimal():
        name, workers = server, ""
    option = {"gunicorn": "bind", "hypercorn": "bind", "waitress": "listen"}.get(
        name, "port"
    )
    where = port if option == "port" else f"127.0.0.1:{port}"
    options = {option: where, **({"workers": int(workers)} if workers else {})}
    return {
        "BACKEND": f"{BACKENDS}.{_BACKENDS[name]}",
        "ARGS": {**options, **(args or {})},
        **keys,
    }
