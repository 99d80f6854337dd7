"""An app that says in a file which process it was set up in."""

import os
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class RecordedConfig(AppConfig):
    name = "proj.recorded"
    label = "recorded"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        with (settings.DATA / "ready").open("a") as file:
            file.write(f"{os.getpid()}\n")
