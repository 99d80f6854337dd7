"""The settings of the shop, a project that the documentation's samples run in."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "only for the samples of the documentation")
DEBUG = False
# The samples listen on 127.0.0.1, and may run in a container.
SILENCED_SYSTEM_CHECKS = ["prodserver.W004"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "django_prodserver",
    "django_tasks_db",
    "django_q",
    "django_rq",
    "orders",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
LOGGING = {"version": 1, "disable_existing_loggers": False}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
RQ_QUEUES = {"default": {"URL": REDIS_URL}}
Q_CLUSTER = {"name": "shop", "orm": "default", "timeout": 60, "retry": 120}

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "django_prodserver.backends.gunicorn.GunicornServer"},
}
