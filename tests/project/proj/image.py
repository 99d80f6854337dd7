"""The settings in the test image: a process for every backend, and real services."""

import json
import os

from proj.settings import *  # noqa: F403

_BACKENDS = "django_prodserver.backends"
_CELERY = {"APP": "proj.celery.app"}

ROOT_URLCONF = "proj.image_urls"
PRODUCTION_PROCESSES = {
    "gunicorn": {"BACKEND": f"{_BACKENDS}.gunicorn.GunicornServer"},
    "uvicorn-asgi": {"BACKEND": f"{_BACKENDS}.uvicorn.UvicornServer"},
    "uvicorn-wsgi": {"BACKEND": f"{_BACKENDS}.uvicorn.UvicornWSGIServer"},
    "granian-asgi": {"BACKEND": f"{_BACKENDS}.granian.GranianASGIServer"},
    "granian-wsgi": {"BACKEND": f"{_BACKENDS}.granian.GranianWSGIServer"},
    "waitress": {"BACKEND": f"{_BACKENDS}.waitress.WaitressServer"},
    "worker": {
        "BACKEND": f"{_BACKENDS}.celery.CeleryWorker",
        "ARGS": {"concurrency": 2, "loglevel": "INFO"},
        **_CELERY,
    },
    "beat": {
        "BACKEND": f"{_BACKENDS}.celery.CeleryBeat",
        "ARGS": {"schedule": "/tmp/schedule", "loglevel": "INFO"},
        **_CELERY,
    },
    "db_worker": {"BACKEND": f"{_BACKENDS}.django_tasks.DjangoTasksWorker"},
    "dramatiq": {"BACKEND": f"{_BACKENDS}.dramatiq.DramatiqWorker"},
    "procrastinate": {
        "BACKEND": f"{_BACKENDS}.procrastinate.ProcrastinateWorker",
        "CONCURRENCY": 2,
    },
    "rqworker": {"BACKEND": f"{_BACKENDS}.rq.RQWorker"},
    "huey": {"BACKEND": f"{_BACKENDS}.huey.HueyConsumer"},
    "qcluster": {"BACKEND": f"{_BACKENDS}.django_q2.DjangoQ2Worker"},
    "release": {
        "BACKEND": f"{_BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput", "check"],
        "WAIT_FOR": ["database"],
    },
}
if database := os.environ.get("TEST_DATABASE"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["TEST_DATABASE_HOST"],
            "NAME": database,
            "USER": "postgres",
            "PASSWORD": "postgres",
        }
    }
    # Its migrations are for PostgreSQL alone.
    INSTALLED_APPS += ["procrastinate.contrib.django"]  # noqa: F405
    PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "procrastinate_tasks"

# Again, for what a test wants to be different of these.
globals().update(json.loads(os.environ.get("TEST_SETTINGS", "{}")))
