"""An app that holds something open as it is set up: what ``HOLD`` says."""

import mmap
import socket
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import connection

held: list[Any] = []


class HoldingConfig(AppConfig):
    name = "proj.holding"
    label = "holding"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        if settings.HOLD == "socket":
            held.append(socket.socket())
        elif settings.HOLD == "garbage":
            # What only the garbage collector would close.
            cycle: list[Any] = [socket.socket()]
            cycle.append(cycle)
        elif settings.HOLD == "file":
            held.append(Path(__file__).open())  # noqa: SIM115
        elif settings.HOLD == "database":
            connection.ensure_connection()
        elif settings.HOLD == "log":
            held.append((settings.DATA / "app.log").open("a"))
        elif settings.HOLD == "memory":
            shared = (Path("/dev/shm") / f"prodserver-test-{id(held)}").open("w+b")
            shared.truncate(mmap.PAGESIZE)
            Path(shared.name).unlink()
            held.append(shared)
