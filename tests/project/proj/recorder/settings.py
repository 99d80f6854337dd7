"""The settings of the project under test, recorded as they are loaded."""

import json
import os

from proj import recorder

recorder.record("settings")

from proj.settings import *  # noqa: E402, F403

# Some workers' apps configure logging as they are imported: only where they are needed.
WORKER_APPS = ("django_q", "django_rq", "huey.contrib.djhuey")
INSTALLED_APPS = [
    *(app for app in INSTALLED_APPS if app not in WORKER_APPS),  # noqa: F405
    *json.loads(os.environ.get("TEST_WORKER_APPS", "[]")),
    "proj.recorder.apps.RecorderConfig",
]
ROOT_URLCONF = "proj.recorder.urls"
WSGI_APPLICATION = "proj.recorder.wsgi.application"
ASGI_APPLICATION = "proj.recorder.asgi.application"
