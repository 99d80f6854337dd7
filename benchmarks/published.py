"""
Published Django applications, and what each needs in order to run here.

They are the index's own releases, unchanged, each with its own settings, its own
middleware and its own way to run a management command. What is added to the settings
is where the data is, and that it is no HTTPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.services import POSTGRES, REDIS

CELERY = "django_prodserver.backends.celery.CeleryWorker"


class Published(NamedTuple):
    """
    An application.

    Attributes:
        title: Its name.
        release: What is installed.
        settings: Its settings module.
        wsgi: Its WSGI application's module.
        manage: The words that run its management commands; those of its environment's
            programs. ``{site}`` is the directory of its environment's packages.
        page: A page that answers 200 where nobody is signed in.
        worker: The keys of its background worker.
        before: What the measured settings begin with.
        text: What the measured settings add to its own.
        variables: Environment variables. ``{folder}`` is where its data is,
            ``{settings}`` the measured settings module.
        services: Of "redis" and "postgres".
        prepare: Management commands that make its database and static files.
        asgi: Its ASGI application's module, if it has one.
        packages: What is installed beside it.
        manage_only: Whether its settings are complete under its own management command
            alone, and not where DJANGO_SETTINGS_MODULE names them.
    """

    title: str
    release: str
    settings: str
    wsgi: str
    manage: tuple[str, ...]
    page: str
    worker: Mapping[str, object]
    before: str = ""
    text: str = ""
    variables: Mapping[str, str] = {}
    services: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ("migrate -v0 --noinput",)
    asgi: str = ""
    packages: tuple[str, ...] = ()
    manage_only: bool = False


_REDIS = f"redis://127.0.0.1:{{{REDIS}}}"

PUBLISHED = {
    "pretalx": Published(
        title="pretalx",
        release="pretalx",
        settings="pretalx.settings",
        wsgi="pretalx.wsgi",
        manage=("python", "-m", "pretalx"),
        page="/orga/login/",
        worker={"BACKEND": CELERY, "APP": "pretalx.celery_app"},
        variables={
            "PRETALX_DATA_DIR": "{folder}/data",
            "PRETALX_FILESYSTEM_STATIC": "{folder}/static",
            "PRETALX_REDIS": f"{_REDIS}/1",
            "PRETALX_CELERY_BROKER": f"{_REDIS}/2",
            "PRETALX_CELERY_BACKEND": f"{_REDIS}/3",
        },
        services=("redis",),
        prepare=("migrate -v0 --noinput", "collectstatic -v0 --noinput"),
    ),
    "label-studio": Published(
        title="Label Studio",
        release="label-studio",
        settings="core.settings.label_studio",
        wsgi="core.wsgi",
        manage=("python", "{site}/label_studio/manage.py"),
        page="/user/login/",
        worker={},
        # Its settings ask django.conf.settings for those of this module.
        before="from core.settings.base import *\n",
        text=f"""
import os
for _queue in RQ_QUEUES.values():
    _queue["PORT"] = int(os.environ["{REDIS}"])
""",
        variables={
            "LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_BASE_DATA_DIR": "{folder}/data",
            "PYTHONPATH": "{folder}:{site}/label_studio",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        },
        services=("redis",),
        # Its sitecustomize module imports it.
        packages=("coverage",),
    ),
    "pretix": Published(
        title="pretix",
        release="pretix",
        settings="pretix.settings",
        wsgi="pretix.wsgi",
        manage=("python", "-m", "pretix"),
        page="/control/login",
        worker={"BACKEND": CELERY, "APP": "pretix.celery_app"},
        variables={
            "DATA_DIR": "{folder}",
            "PRETIX_PRETIX_URL": "http://127.0.0.1",
            "PRETIX_REDIS_LOCATION": f"{_REDIS}/1",
            "PRETIX_REDIS_SESSIONS": "true",
            "PRETIX_CELERY_BROKER": f"{_REDIS}/2",
            "PRETIX_CELERY_BACKEND": f"{_REDIS}/3",
        },
        services=("redis",),
    ),
    "nautobot": Published(
        title="Nautobot",
        release="nautobot",
        settings="nautobot.core.settings",
        wsgi="nautobot.core.wsgi",
        manage=("nautobot-server",),
        page="/login/",
        worker={"BACKEND": CELERY, "APP": "nautobot.core.celery"},
        variables={
            "NAUTOBOT_CONFIG": "{folder}/{settings}.py",
            "NAUTOBOT_ROOT": "{folder}/data",
            "NAUTOBOT_DB_USER": "postgres",
            "NAUTOBOT_DB_HOST": "127.0.0.1",
            "NAUTOBOT_DB_PORT": f"{{{POSTGRES}}}",
            "NAUTOBOT_REDIS_HOST": "127.0.0.1",
            "NAUTOBOT_REDIS_PORT": f"{{{REDIS}}}",
            "NAUTOBOT_SECRET_KEY": "for-the-benchmark-only-" + "0" * 40,
        },
        services=("redis", "postgres"),
        prepare=("post_upgrade --no-send-installation-metrics",),
        manage_only=True,
    ),
}
