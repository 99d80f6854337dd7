"""The pages, the limits and the progress that the pages ask for."""

from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient, Client, override_settings
from django.urls import reverse

from paperwork.documents import jobs
from paperwork.documents.models import Document
from paperwork.tests.cases import QuietTestCase
from paperwork.tests.task_backends import DUMMY, IMMEDIATE

TEXT = "The whale and the ship.\n\nThe ship was lost, and the whale swam on."


@override_settings(STAGE_PAUSE=0, JOB_QUEUE="tasks", TASKS=DUMMY)
class FrontPageTests(QuietTestCase):
    def test_it_lists_recent_documents(self) -> None:
        document = Document.objects.create(title="About whales", text=TEXT)
        jobs.analyse_document(str(document.pk))
        response = self.client.get("/")
        self.assertContains(response, "About whales")
        self.assertContains(response, "14 words")
        self.assertContains(response, "English")

    def test_a_sample_fills_the_form(self) -> None:
        self.assertContains(self.client.get("/?sample=moby-dick"), "Call me Ishmael.")
        self.assertNotContains(self.client.get("/?sample=other"), "Ishmael")

    def test_a_pasted_text_is_queued(self) -> None:
        response = self.client.post("/", {"text": "Line one\r\nLine two"})
        document = Document.objects.get()
        self.assertRedirects(response, document.get_absolute_url())
        assert document.text == "Line one\nLine two"
        assert document.title == "Line one"
        assert document.status == Document.Status.QUEUED

    def test_a_file_is_queued_under_its_name(self) -> None:
        for content in (
            TEXT.encode(),
            b"\xef\xbb\xbf" + TEXT.encode(),
            TEXT.encode("utf-16"),
        ):
            with self.subTest(content[:3]):
                file = SimpleUploadedFile("whales.txt", content)
                self.client.post("/", {"file": file})
                document = Document.objects.latest("created_at")
                assert document.title == "whales.txt"
                assert document.text == TEXT

    def test_titles(self) -> None:
        for text, title in {
            "Call me Ishmael. " + "Some years ago " * 10: "Call me Ishmael.",
            "whale " * 30: "whale " * 12 + "whale\u2026",
            "x" * 300: "x" * 80 + "\u2026",
        }.items():
            with self.subTest(title):
                self.client.post("/", {"text": text})
                assert Document.objects.latest("created_at").title == title

    def test_what_is_refused(self) -> None:
        big = "x" * 200_001
        for data, message in (
            ({"text": " \n "}, "Paste a text, or choose a file below."),
            ({"text": big}, "This text has 201 kB, and the limit is 200 kB."),
            # Bytes count, not characters.
            ({"text": "\u00e9" * 100_001}, "the limit is 200 kB"),
            ({"file": SimpleUploadedFile("a", big.encode())}, "the limit is 200 kB"),
            ({"file": SimpleUploadedFile("a", b"")}, "This file is empty."),
            ({"file": SimpleUploadedFile("a", b" \n")}, "This file is empty."),
            ({"file": SimpleUploadedFile("a", b"\xff\xd8\0")}, "not a plain text"),
            (
                {"text": "Text", "file": SimpleUploadedFile("a", b"File")},
                "not both",
            ),
        ):
            with self.subTest(message):
                response = self.client.post("/", data)
                self.assertContains(response, message, status_code=422)
        assert not Document.objects.exists()

    def test_just_the_limit_is_taken(self) -> None:
        assert self.client.post("/", {"text": "x" * 200_000}).status_code == 302

    def test_far_over_the_limit(self) -> None:
        response = self.client.post("/", {"text": "x" * 3_000_000})
        self.assertContains(response, "up to 200 kB", status_code=400)

    def test_the_form_is_protected(self) -> None:
        client = Client(enforce_csrf_checks=True)
        assert client.post("/", {"text": "Text"}).status_code == 403


@override_settings(STAGE_PAUSE=0, JOB_QUEUE="tasks", TASKS=IMMEDIATE)
class DocumentPageTests(QuietTestCase):
    def setUp(self) -> None:
        self.document = Document.objects.create(title="Whales", text=TEXT)
        self.address = self.document.get_absolute_url()

    def test_a_waiting_job(self) -> None:
        response = self.client.get(self.address)
        self.assertContains(response, "Waiting for a worker")
        self.assertContains(response, "prodserver worker")
        self.assertContains(response, "progress.js")
        self.assertContains(response, "reload it")

    def test_a_finished_job(self) -> None:
        jobs.analyse_document(str(self.document.pk))
        for address in (self.address, f"{self.address}result/"):
            with self.subTest(address):
                response = self.client.get(address)
                self.assertContains(response, "What it is about")
                self.assertContains(response, "The ship was lost")
                self.assertNotContains(response, "progress.js")

    def test_a_text_without_common_words(self) -> None:
        Document.objects.update(text="Alpha")
        jobs.analyse_document(str(self.document.pk))
        self.assertContains(self.client.get(self.address), "Not sure")

    def test_text_is_escaped(self) -> None:
        Document.objects.update(title="<b>T", text="<script>alert(1)</script> word.")
        jobs.analyse_document(str(self.document.pk))
        self.assertNotContains(self.client.get(self.address), "<script>alert")
        self.assertNotContains(self.client.get(self.address), "<b>T")

    def test_a_failed_job_can_be_tried_again(self) -> None:
        self.document.mark_failed("The reason.")
        response = self.client.get(self.address)
        self.assertContains(response, "The reason.")
        self.assertContains(response, "Try again")
        response = self.client.post(f"{self.address}again/")
        self.assertRedirects(response, self.address)
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.DONE
        assert self.document.error == ""

    def test_a_running_job_is_not_queued_twice(self) -> None:
        self.document.mark_running()
        self.client.post(f"{self.address}again/")
        self.document.refresh_from_db()
        assert self.document.status == Document.Status.RUNNING

    def test_no_such_document(self) -> None:
        for name in ("document", "result"):
            address = reverse(f"documents:{name}", args=[uuid4()])
            assert self.client.get(address).status_code == 404


class ProgressTests(QuietTestCase):
    def setUp(self) -> None:
        self.document = Document.objects.create(title="Whales", text=TEXT)
        self.address = f"{self.document.get_absolute_url()}progress/"

    async def test_it_follows_the_job(self) -> None:
        response = await self.async_client.get(self.address)
        assert response.json() == {
            "status": "queued",
            "label": "Queued",
            "stage": "",
            "stages_done": 0,
            "progress": 0,
            "finished": False,
        }
        await Document.objects.aupdate(status="running", stages_done=2)
        response = await self.async_client.get(self.address)
        assert response.json() == {
            "status": "running",
            "label": "Running",
            "stage": "Finding frequent terms",
            "stages_done": 2,
            "progress": 40,
            "finished": False,
        }
        await Document.objects.aupdate(status="done", stages_done=5)
        response = await self.async_client.get(self.address)
        assert response.json()["finished"]

    def test_it_answers_under_wsgi_too(self) -> None:
        response = self.client.get(self.address)
        assert response.json()["status"] == "queued"
        assert "no-store" in response["Cache-Control"]

    async def test_no_such_document(self) -> None:
        address = reverse("documents:progress", args=[uuid4()])
        response = await self.async_client.get(address)
        assert response.status_code == 404
        assert "error" in response.json()


class SiteTests(QuietTestCase):
    async def test_health(self) -> None:
        response = await self.async_client.get("/health/")
        assert response.content == b"ok\n"

    async def test_pages_name_the_interface(self) -> None:
        page = await AsyncClient().get("/")
        assert "over ASGI" in page.content.decode()

    def test_a_missing_page(self) -> None:
        response = self.client.get("/nothing/")
        self.assertContains(response, "There is nothing here", status_code=404)
