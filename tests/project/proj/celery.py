import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")

app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = {
    "tick": {"task": "proj.jobs.celery_tasks.mark", "schedule": 0.5, "args": ["beat"]}
}
app.autodiscover_tasks(["proj.jobs"], related_name="celery_tasks")
