"""Which queue takes a job, and what happens if none does."""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from unittest import mock, skipUnless

from django.test import SimpleTestCase, override_settings

from paperwork.documents import queues
from paperwork.documents.models import Document
from paperwork.tests.cases import QuietTestCase
from paperwork.tests.task_backends import DUMMY, IMMEDIATE


@override_settings(STAGE_PAUSE=0, JOB_QUEUE="tasks")
class QueueTests(QuietTestCase):
    def setUp(self) -> None:
        self.document = Document.objects.create(title="A text", text="The whale.")

    @override_settings(TASKS=IMMEDIATE)
    def test_tasks(self) -> None:
        queues.submit(self.document)
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.DONE
        assert self.document.queue == "Django Tasks"

    @override_settings(TASKS=DUMMY)
    def test_tasks_wait_for_a_worker(self) -> None:
        queues.submit(self.document)
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.QUEUED

    @skipUnless(find_spec("django_tasks_db"), "django-tasks-db is not installed")
    def test_tasks_in_the_database(self) -> None:
        from django_tasks_db.models import DBTaskResult

        queues.submit(self.document)
        row = DBTaskResult.objects.get()
        assert row.task_path == "paperwork.documents.tasks.analyse_document"
        assert row.args_kwargs == {"args": [str(self.document.pk)], "kwargs": {}}

    @skipUnless(find_spec("celery"), "Celery is not installed")
    @override_settings(JOB_QUEUE="celery")
    def test_celery(self) -> None:
        from paperwork.celery import app

        app.conf.task_always_eager = True
        self.addCleanup(setattr, app.conf, "task_always_eager", False)
        queues.submit(self.document)
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.DONE
        assert self.document.queue == "Celery"

    @skipUnless(find_spec("celery"), "Celery is not installed")
    def test_celery_knows_the_periodic_task(self) -> None:
        from paperwork.celery import app

        app.loader.import_default_modules()
        for entry in app.conf.beat_schedule.values():
            assert entry["task"] in app.tasks

    @skipUnless(find_spec("django_q"), "Django Q2 is not installed")
    @override_settings(JOB_QUEUE="q2")
    def test_q2(self) -> None:
        with mock.patch("django_q.tasks.async_task") as async_task:
            queues.submit(self.document)
        async_task.assert_called_once_with(
            "paperwork.documents.jobs.analyse_document", str(self.document.pk)
        )

    def test_a_queue_that_is_down_keeps_the_document(self) -> None:
        down = queues.Queue("Celery", "celery", mock.Mock(side_effect=ConnectionError))
        with mock.patch.dict(queues.QUEUES, tasks=down):
            queues.submit(self.document)
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.FAILED
        assert "does not take jobs" in self.document.error
        assert self.document.text == "The whale."


class SettingsTests(SimpleTestCase):
    """The settings, read by a process of their own with another environment."""

    def read(self, expression: str, **env: str) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory() as data:
            return subprocess.run(
                [
                    sys.executable,
                    "-c",
                    f"from paperwork import settings; print({expression})",
                ],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                    "EXAMPLE_DATA_DIR": data,
                    **env,
                },
                capture_output=True,
                text=True,
                check=False,
            )

    def test_the_default_queue(self) -> None:
        assert self.read("settings.JOB_QUEUE").stdout.strip() == "tasks"

    def test_an_unknown_queue(self) -> None:
        errors = self.read("1", EXAMPLE_QUEUE="rq").stderr
        assert "EXAMPLE_QUEUE is 'rq'; it can be tasks, celery, q2." in errors

    def test_production_needs_a_secret_key(self) -> None:
        assert "DJANGO_SECRET_KEY" in self.read("1", DJANGO_DEBUG="false").stderr
        key = self.read(
            "settings.SECRET_KEY", DJANGO_DEBUG="false", DJANGO_SECRET_KEY="k"
        )
        assert key.stdout.strip() == "k"

    def test_postgresql_from_its_address(self) -> None:
        database = self.read(
            "settings.DATABASES['default']",
            DATABASE_URL="postgresql://me:p%40ss@db:5433/paper?sslmode=require",
        )
        assert database.stdout.strip() == repr(
            {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "paper",
                "USER": "me",
                "PASSWORD": "p@ss",
                "HOST": "db",
                "PORT": "5433",
                "OPTIONS": {"sslmode": "require"},
            }
        )

    def test_q2_takes_redis_or_the_database(self) -> None:
        url = "redis://cache:6379/1"
        redis = self.read("settings.Q_CLUSTER['redis']", REDIS_URL=url)
        assert redis.stdout.strip() == url
        orm = self.read("settings.Q_CLUSTER['orm']")
        assert orm.stdout.strip() == "default"

    def test_q2_stops_a_job_before_it_hands_it_out_again(self) -> None:
        cluster = "settings.Q_CLUSTER"
        shorter = self.read(f"{cluster}['timeout'] < {cluster}['retry']")
        assert shorter.stdout.strip() == "True"

    def test_importing_the_package_does_not_import_celery(self) -> None:
        celery = self.read("'celery' in __import__('sys').modules")
        assert celery.stdout.strip() == "False"
