"""One settings module for development, staging and production."""

# ruff: noqa: F403, I001, S105  # it is what its page shows
from shop.settings import *

# Begins.
import os

from django.core.exceptions import ImproperlyConfigured

DEBUG = os.environ.get("DJANGO_DEBUG") == "1"

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("Set DJANGO_SECRET_KEY.")
    SECRET_KEY = "for development only"

ALLOWED_HOSTS = os.environ.get("DJANGO_ALLOWED_HOSTS", "127.0.0.1,localhost").split(",")

PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
        "WORKERS": "auto",
    },
    "worker": {
        "BACKEND": "django_prodserver.backends.django_tasks.DjangoTasksWorker",
    },
}

# Whose X-Forwarded-* headers are believed: nobody's, where no proxy is named.
if proxies := os.environ.get("TRUSTED_PROXIES"):
    PRODUCTION_PROCESSES["web"]["TRUSTED_PROXIES"] = proxies.split(",")
