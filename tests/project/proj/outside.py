"""Applications that answer some paths outside Django, and websockets."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

_django_wsgi = get_wsgi_application()
_django_asgi = get_asgi_application()


def _note(seen: dict[str, Any]) -> bytes:
    """Note a request, also one whose client does not wait for the answer."""
    text = json.dumps(seen)
    with Path(settings.DATA, "outside.log").open("a") as file:
        file.write(f"{text}\n")
    return text.encode()


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"] != "/outside":
        return _django_wsgi(environ, start_response)
    names = [name[5:] for name in environ if name.startswith("HTTP_")]
    seen = {
        "client": environ.get("REMOTE_ADDR", ""),
        "scheme": environ["wsgi.url_scheme"],
        "root": environ["SCRIPT_NAME"],
        "forwarded": sorted(name for name in names if "FORWARDED" in name),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [_note(seen)]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and not scope["path"].endswith("/outside"):
        await _django_asgi(scope, receive, send)  # type: ignore[arg-type]
        return
    names = [name.decode().upper().replace("-", "_") for name, _ in scope["headers"]]
    seen = {
        "client": (scope.get("client") or ("",))[0],
        "scheme": scope["scheme"],
        "root": scope.get("root_path", ""),
        "forwarded": sorted(name for name in names if "FORWARDED" in name),
    }
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": _note(seen).decode()})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": _note(seen)})
