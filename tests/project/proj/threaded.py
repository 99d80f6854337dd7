"""An app that starts a thread as it is set up, as pollers and exporters do."""

import threading
import time

from django.apps import AppConfig


class ThreadedConfig(AppConfig):
    name = "proj.threaded"
    label = "threaded"
    path = __file__.rpartition("/")[0]

    def ready(self) -> None:
        threading.Thread(target=_poll, name="poller", daemon=True).start()


def _poll() -> None:
    while True:
        time.sleep(0.2)
