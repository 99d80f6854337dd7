"""
Settings of the example project, all of it from the environment.

It runs with Django and django-tasks-db alone; Celery, Django Q2 and WhiteNoise
are used when they are installed.
"""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import django
from django.core.exceptions import ImproperlyConfigured

from paperwork.environment import secret


def installed(module: str) -> bool:
    return find_spec(module) is not None


def env_list(name: str, default: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item]


BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EXAMPLE_DATA_DIR") or BASE_DIR / ".data")
DATA_DIR.mkdir(parents=True, exist_ok=True)

HAS_CELERY = installed("celery")
HAS_Q2 = installed("django_q")
# Before Django 6, django-tasks-db needs the backport of django.tasks:
# pip install "django-tasks-db[compat]".
NEEDS_BACKPORT = django.VERSION < (6, 0)
HAS_TASKS_DB = installed("django_tasks_db") and (
    not NEEDS_BACKPORT or installed("django_tasks")
)

# Security

DEBUG = os.environ.get("DJANGO_DEBUG", "true").lower() in {"1", "true", "yes", "on"}
SECRET_KEY = secret("DJANGO_SECRET_KEY")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("Set DJANGO_SECRET_KEY when DJANGO_DEBUG is false.")
    SECRET_KEY = "for-development-only-" + "0" * 40
ALLOWED_HOSTS = env_list("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("DJANGO_CSRF_TRUSTED_ORIGINS", "")

# Applications

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_prodserver",
    "paperwork.documents",
]
if HAS_TASKS_DB:
    INSTALLED_APPS.append("django_tasks_db")
    if NEEDS_BACKPORT:
        INSTALLED_APPS.append("django_tasks")
if HAS_Q2:
    INSTALLED_APPS.append("django_q")

MIDDLEWARE = [
    "django_prodserver.health.middleware.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if installed("whitenoise"):
    MIDDLEWARE.insert(2, "whitenoise.middleware.WhiteNoiseMiddleware")

# What /-/ready checks: no page works without the database.
PRODSERVER_HEALTH = {"CHECKS": ["database", "migrations"], "TIMEOUT": 3}

ROOT_URLCONF = "paperwork.urls"
WSGI_APPLICATION = "paperwork.wsgi.application"
ASGI_APPLICATION = "paperwork.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "paperwork" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "paperwork.context_processors.serving_process",
            ],
        },
    },
]

# Database


def postgresql(url: str) -> dict[str, Any]:
    """Read ``postgresql://user:password@host:port/name?sslmode=require``."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL has to start with postgresql://.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or "") or secret("DATABASE_PASSWORD"),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def sqlite(path: Path) -> dict[str, Any]:
    """
    Set SQLite up for several processes: the web workers and the job worker.

    IMMEDIATE takes the write lock when a transaction begins, so a process
    waits (up to the timeout) for another one instead of failing halfway.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


DATABASE_URL = os.environ.get("DATABASE_URL", "")
DATABASES = {
    "default": postgresql(DATABASE_URL)
    if DATABASE_URL
    else sqlite(DATA_DIR / "db.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static-root"

# The documents

# Each stage of an analysis takes milliseconds; the pause lets you watch it.
STAGE_PAUSE = float(os.environ.get("EXAMPLE_STAGE_PAUSE", "0.5"))
DOCUMENT_MAX_BYTES = 200_000
DOCUMENT_KEEP_DAYS = int(os.environ.get("EXAMPLE_KEEP_DAYS", "30"))

# The queue: which of the three takes the jobs

JOB_QUEUE = os.environ.get("EXAMPLE_QUEUE", "tasks")
_QUEUES = {"tasks": HAS_TASKS_DB, "celery": HAS_CELERY, "q2": HAS_Q2}
if JOB_QUEUE not in _QUEUES:
    raise ImproperlyConfigured(
        f"EXAMPLE_QUEUE is {JOB_QUEUE!r}; it can be {', '.join(_QUEUES)}."
    )
if not _QUEUES[JOB_QUEUE]:
    raise ImproperlyConfigured(
        f"EXAMPLE_QUEUE is {JOB_QUEUE!r}, but what it needs is not installed."
    )

if HAS_TASKS_DB:
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
# A visitor is waiting for the page while the job is handed to the broker.
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# The outcome is in the document; nobody asks Celery for it.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "forget-old-documents": {
        "task": "paperwork.documents.celery_tasks.forget_old_documents",
        "schedule": timedelta(hours=1),
    },
}

REDIS_URL = os.environ.get("REDIS_URL", "")
Q_CLUSTER: dict[str, Any] = {
    "name": "paperwork",
    "workers": 2,
    # A job is handed out again after "retry" seconds, so it has to be over or
    # stopped ("timeout") before that, or it runs twice.
    "timeout": 60,
    "retry": 120,
    "max_attempts": 2,
    "save_limit": 100,
    "catch_up": False,
}
if REDIS_URL:
    Q_CLUSTER["redis"] = REDIS_URL
else:
    Q_CLUSTER["orm"] = "default"

# The processes: "manage.py prodserver web", "manage.py prodserver worker", ...

PRODUCTION_PROCESSES: dict[str, dict[str, Any]] = {
    "web": {
        "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
        "WORKERS": 2,
        "THREADS": 4,
    },
    "worker": {"BACKEND": "django_prodserver.backends.django_tasks.DjangoTasksWorker"},
    # Runs once, before the others start; if several start at once, one migrates.
    "release": {
        "BACKEND": "django_prodserver.backends.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
        "WAIT_FOR": ["database"],
    },
}
if HAS_CELERY:
    PRODUCTION_PROCESSES["celery"] = {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "paperwork.celery.app",
        "CONCURRENCY": 2,
    }
    PRODUCTION_PROCESSES["beat"] = {
        "BACKEND": "django_prodserver.backends.celery.CeleryBeat",
        "APP": "paperwork.celery.app",
    }
if HAS_Q2:
    PRODUCTION_PROCESSES["q2"] = {
        "BACKEND": "django_prodserver.backends.django_q2.DjangoQ2Worker",
    }

# No handler: prodserver writes every line, in one format, text or JSON.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO"},
}
