"""An app that records the moment when Django is set up."""

from django.apps import AppConfig

from proj import recorder


class RecorderConfig(AppConfig):
    name = "proj.recorder"

    def ready(self) -> None:
        recorder.record("apps")
