"""The layout of django-prodserver 3.x: the same modules under other names."""

from __future__ import annotations

import sys

from django_prodserver.backends import celery, granian, gunicorn, uvicorn, waitress

sys.modules.update(
    {
        f"{__name__}.flower": celery,
        f"{__name__}.granian": granian,
        f"{__name__}.gunicorn": gunicorn,
        f"{__name__}.uvicorn": uvicorn,
        f"{__name__}.waitress": waitress,
    }
)
