"""A project small enough to read, with whatever a test wants to be different."""

import json
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from proj import moments

# Not looked for where it is not needed: /tmp may be full.
DATA = Path(os.environ.get("TEST_DATA") or tempfile.gettempdir())
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:1/0")

SECRET_KEY = "not a secret"
DEBUG = False
# The tests may run in a container themselves.
SILENCED_SYSTEM_CHECKS = ["prodserver.W004"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "django_prodserver",
    "proj.jobs",
    *(
        app
        for app in (
            *("django_tasks_db", "django_q", "django_rq", "django_dramatiq"),
            "huey.contrib.djhuey",
        )
        if find_spec(app.partition(".")[0]) is not None
    ),
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "proj.urls"
WSGI_APPLICATION = "proj.wsgi.application"
ASGI_APPLICATION = "proj.asgi.application"
STATIC_URL = "static/"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {"version": 1, "disable_existing_loggers": False}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
RQ_QUEUES = {"default": {"URL": REDIS_URL}}
Q_CLUSTER = {
    "name": "test",
    "workers": 2,
    "timeout": 30,
    "retry": 60,
    "redis": REDIS_URL,
}
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.redis.RedisBroker",
    "OPTIONS": {"url": REDIS_URL},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Retries",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
    ],
}
DRAMATIQ_AUTODISCOVER_MODULES = ["dramatiq_tasks"]
HUEY = {
    "name": "test",
    "immediate": False,
    "connection": {"url": REDIS_URL},
    "consumer": json.loads(os.environ.get("TEST_HUEY_CONSUMER", "{}")),
}
if huey_class := os.environ.get("TEST_HUEY_CLASS"):
    HUEY |= {"huey_class": huey_class, "connection": {"filename": DATA / "huey.db"}}
CELERY_BROKER_URL = os.environ.get("TEST_BROKER_URL", REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "django_prodserver.backends.gunicorn.GunicornServer"},
}

# What a test wants to be different: settings, as a JSON object.
globals().update(json.loads(os.environ.get("TEST_SETTINGS", "{}")))
INSTALLED_APPS += json.loads(os.environ.get("TEST_APPS", "[]"))
for name in json.loads(os.environ.get("TEST_UNSET", "[]")):
    del globals()[name]
moments.reached("settings")
