"""An application that is never imported."""

import threading


def connect() -> None:
    threading.Event().wait()


connect()
