"""Where a web server listens, in the words that the probe's file has for it."""

from __future__ import annotations

from django.conf import settings


def tcp(host: str, port: object) -> str:
    """Return ``tcp://127.0.0.1:8000``, ``tcp://[::1]:8000``."""
    host = host.strip("[]")
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def joined(host: str, port: str) -> str:
    """Return ``host:port`` or ``[::1]:port``."""
    return tcp(host, port).removeprefix("tcp://")


def is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) < 65536


def unix(path: str) -> str:
    """Return ``unix:///run/web.sock``."""
    return f"unix://{path}"


def split(address: str, default_port: str) -> tuple[str, str]:
    """Return host and port of ``host:port``, ``[host]:port``, ``:port``, ``host``."""
    host, colon, port = address.rpartition(":")
    if not colon or "]" in port:
        return address, default_port
    return host, port or default_port


def host_header() -> str:
    """Return a Host that the site answers to: the first of ``ALLOWED_HOSTS``."""
    for host in settings.ALLOWED_HOSTS:
        if host != "*":
            return str(host).removeprefix(".")
    return "localhost"
