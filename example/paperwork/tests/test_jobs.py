"""The job: its states, and what stops it."""

from datetime import timedelta
from unittest import mock

from django.test import override_settings
from django.utils import timezone

from paperwork.documents import analysis, jobs
from paperwork.documents.models import Document
from paperwork.tests.cases import QuietTestCase


@override_settings(STAGE_PAUSE=0)
class JobTests(QuietTestCase):
    def document(self, text: str = "The whale and the ship.") -> Document:
        return Document.objects.create(title="A text", text=text)

    def test_a_document_is_analysed(self) -> None:
        document = self.document()
        jobs.analyse_document(str(document.pk))
        document.refresh_from_db()
        assert document.status == Document.Status.DONE
        assert document.progress == 100
        assert document.result is not None
        assert set(document.result) == {stage.key for stage in analysis.STAGES}
        assert document.duration is not None
        assert document.worker

    def test_a_second_delivery_gives_the_same_result(self) -> None:
        document = self.document()
        jobs.analyse_document(str(document.pk))
        document.refresh_from_db()
        first = document.result
        jobs.analyse_document(str(document.pk))
        document.refresh_from_db()
        assert document.result == first
        assert document.status == Document.Status.DONE

    def test_stages_are_told_while_they_run(self) -> None:
        document = self.document()
        seen = []

        def look(seconds: float) -> None:
            document.refresh_from_db()
            seen.append((document.status, document.stage_name))

        with mock.patch("time.sleep", look):
            jobs.analyse_document(str(document.pk))
        assert seen == [("running", stage.name) for stage in analysis.STAGES]

    def test_a_text_without_words_fails_with_the_reason(self) -> None:
        document = self.document("123 !!!")
        jobs.analyse_document(str(document.pk))
        document.refresh_from_db()
        assert document.status == Document.Status.FAILED
        assert "no words" in document.error

    def test_a_bug_fails_the_document_and_the_job(self) -> None:
        document = self.document()
        with mock.patch.object(jobs, "_run_stages", side_effect=ZeroDivisionError):
            self._analyse_expecting(ZeroDivisionError, document)
        assert document.status == Document.Status.FAILED
        assert "log" in document.error

    def test_a_stopped_worker_fails_the_document(self) -> None:
        document = self.document()
        with mock.patch("time.sleep", side_effect=SystemExit):
            self._analyse_expecting(SystemExit, document)
        assert document.status == Document.Status.FAILED
        assert "stopped" in document.error

    def test_a_document_that_is_gone_is_no_error(self) -> None:
        document = self.document()
        Document.objects.all().delete()
        jobs.analyse_document(str(document.pk))
        assert not Document.objects.exists()

    def test_a_document_deleted_meanwhile_stays_deleted(self) -> None:
        document = self.document()

        def delete(seconds: float) -> None:
            Document.objects.all().delete()

        with mock.patch("time.sleep", delete):
            jobs.analyse_document(str(document.pk))
        assert not Document.objects.exists()

    @override_settings(DOCUMENT_KEEP_DAYS=7)
    def test_old_documents_are_forgotten(self) -> None:
        new = self.document()
        Document.objects.create(
            title="Old", text="Old", created_at=timezone.now() - timedelta(days=8)
        )
        jobs.forget_old_documents()
        assert list(Document.objects.all()) == [new]

    def _analyse_expecting(
        self, expected: type[BaseException], document: Document
    ) -> None:
        raised = False
        try:
            jobs.analyse_document(str(document.pk))
        except expected:
            raised = True
        assert raised
        document.refresh_from_db()
