"""The Celery app, recorded as it is imported."""

from celery import Celery

from proj import recorder

recorder.record("application")

app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["proj.jobs"], related_name="celery_tasks")
