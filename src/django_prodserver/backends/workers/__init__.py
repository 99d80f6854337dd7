"""The layout of django-prodserver 3.x: the same modules under other names."""

from __future__ import annotations

import sys

from django_prodserver.backends import celery, django_q2, django_tasks

sys.modules.update(
    {
        f"{__name__}.celery": celery,
        f"{__name__}.django_q2": django_q2,
        f"{__name__}.django_tasks": django_tasks,
    }
)
