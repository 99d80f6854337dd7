"""Documents in the admin."""

from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import reverse

from paperwork.documents import jobs
from paperwork.documents.models import Document
from paperwork.tests.cases import QuietTestCase
from paperwork.tests.task_backends import DUMMY


@override_settings(STAGE_PAUSE=0, JOB_QUEUE="tasks", TASKS=DUMMY)
class AdminTests(QuietTestCase):
    def setUp(self) -> None:
        self.client.force_login(User.objects.create_superuser("admin"))
        self.document = Document.objects.create(title="Whales", text="The whale.")
        jobs.analyse_document(str(self.document.pk))

    def test_the_list(self) -> None:
        response = self.client.get(reverse("admin:documents_document_changelist"))
        self.assertContains(response, "Whales")
        self.assertContains(response, "Analyse again")

    def test_a_document_is_read_only(self) -> None:
        address = reverse("admin:documents_document_change", args=[self.document.pk])
        response = self.client.get(address)
        self.assertContains(response, "&quot;readability&quot;")
        self.assertNotContains(response, 'name="_save"')

    def test_analyse_again(self) -> None:
        self.client.post(
            reverse("admin:documents_document_changelist"),
            {"action": "analyse_again", "_selected_action": [self.document.pk]},
        )
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.QUEUED
