"""Settings that cannot be imported without their variables."""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "django_prodserver",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
STATIC_ROOT = "/app/static-root"
STATICFILES_DIRS = ["/app/config"]
MEDIA_ROOT = "/app/media"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["POSTGRES_HOST"],
        "NAME": "postgres",
        "USER": "postgres",
        "PASSWORD": os.environ["POSTGRES_PASSWORD"],
        "CONN_MAX_AGE": 60,
    }
}
PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
        "THREADS": 2,
        "WAIT_FOR": ["migrations"],
    },
    "release": {
        "BACKEND": "django_prodserver.backends.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
        "WAIT_FOR": ["database"],
    },
}
