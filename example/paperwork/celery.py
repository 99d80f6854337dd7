"""The Celery app. Nothing imports this module unless Celery is the queue."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paperwork.settings")

app = Celery("paperwork")
app.config_from_object("django.conf:settings", namespace="CELERY")
# documents/tasks.py holds the tasks of django.tasks, so Celery's have a module
# of their own.
app.autodiscover_tasks(related_name="celery_tasks")
