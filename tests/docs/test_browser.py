"""The built documentation in a browser: every page, light and dark, wide and narrow."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")
from playwright.sync_api import Page, Response, Route, sync_playwright

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "docs" / "_build" / "html"
#: What each page is looked at as: width, height, and the colours asked for.
VIEWS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1280, 800, "light"),
    "dark": (1280, 800, "dark"),
    "phone": (360, 740, "light"),
}
#: Of what the page shows: what sticks out of the window, and pictures that are broken.
FAULTS = """() => {
    const room = document.documentElement.clientWidth;
    const faults = [];
    if (document.documentElement.scrollWidth > room)
        for (const each of document.querySelectorAll("article *"))
            if (each.getBoundingClientRect().right > room + 1)
                faults.push(
                    `sticks out: <${each.tagName}> ${each.textContent.slice(0, 40)}`);
    for (const image of document.images)
        if (image.checkVisibility() && !(image.complete && image.naturalWidth))
            faults.push(`broken picture: ${image.src}`);
    return faults;
}"""

pytestmark = [pytest.mark.process, pytest.mark.slow]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the documentation, built anew where a page has changed."""
    BUILT.parent.mkdir(exist_ok=True)
    with (BUILT.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", str(ROOT / "docs"), str(BUILT)],
            check=True,
        )
    handler = functools.partial(_Quiet, directory=str(BUILT))
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Server(ThreadingHTTPServer):
    # A page asks for a dozen files at once; by default five of them may wait, and a
    # script whose connection was refused is missing from the page.
    request_queue_size = 128


class Visit:
    """A page of a browser, and what went wrong in it; it reaches nothing else."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", self._answered)
        page.route("**/*", self._only_the_site)

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400:
            self.errors.append(f"{answer.status} {answer.url}")

    def _only_the_site(self, route: Route) -> None:
        if route.request.url.startswith(self.site):
            route.continue_()
        else:
            self.errors.append(f"asks for {route.request.url}")
            route.abort()


@pytest.fixture
def visit(request: pytest.FixtureRequest, site: str) -> Iterator[Visit]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "chromium is missing; make test installs it"
    width, height, colours = VIEWS[getattr(request, "param", "light")]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            # As root, where its sandbox cannot be; in a container's small /dev/shm.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=120_000,
        )
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=colours,
            base_url=site,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(60_000)
        yield Visit(context.new_page(), site)
        chromium.close()


@pytest.mark.parametrize("visit", VIEWS, indirect=True)
def test_every_page_fits_and_has_its_pictures(visit: Visit) -> None:
    pages = sorted(
        path.relative_to(BUILT).as_posix()
        for path in BUILT.rglob("*.html")
        if "_static" not in path.parts
    )
    assert len(pages) > 20
    faults = {}
    for path in pages:
        visit.page.goto(f"/{path}", wait_until="load")
        if found := [*visit.page.evaluate(FAULTS), *visit.errors]:
            faults[path] = found
        visit.errors.clear()
    assert not faults


def test_an_element_that_sticks_out_and_a_broken_picture_are_seen(
    visit: Visit,
) -> None:
    visit.page.goto("/index.html")
    visit.page.evaluate(
        """() => {
            document.querySelector("article").insertAdjacentHTML("beforeend",
                '<p style="width: 9999px">wide</p><img src="/none.png">');
        }"""
    )
    visit.page.wait_for_function("[...document.images].every(each => each.complete)")
    faults = visit.page.evaluate(FAULTS)
    assert any("sticks out: <P> wide" in fault for fault in faults)
    assert any("broken picture" in fault for fault in faults)
    assert any(error.startswith("404") for error in visit.errors)


def test_the_quickstart_is_two_clicks_away(visit: Visit) -> None:
    visit.page.goto("/index.html")
    visit.page.locator("article").get_by_role("link", name="Quickstart").first.click()
    visit.page.wait_for_url("**/quickstart.html*")
    assert "Quickstart" in visit.page.locator("h1").inner_text()


def test_the_search_finds_the_probe_of_a_celery_worker(visit: Visit) -> None:
    visit.page.goto("/index.html")
    field = visit.page.get_by_placeholder("Search")
    field.first.fill("celery worker probe")
    field.first.press("Enter")
    results = visit.page.locator("#search-results li a")
    results.first.wait_for()
    found = results.evaluate_all("all => all.map(each => each.getAttribute('href'))")
    assert any("health" in each for each in found[:3]), found


def test_a_copied_command_has_no_prompt_and_no_output(visit: Visit) -> None:
    visit.page.goto("/guides/quickstart.html")
    block = visit.page.locator("div.highlight-console").first
    shown = block.inner_text()
    block.hover()
    block.locator("button.copybtn").click()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    commands = [line[2:] for line in shown.splitlines() if line.startswith("$ ")]
    assert copied.splitlines()[0] == commands[0]
    assert not any(line.startswith("$") for line in copied.splitlines())


@pytest.mark.parametrize("visit", ["phone"], indirect=True)
def test_the_page_of_explain_fits_a_phone(visit: Visit) -> None:
    """It is no page of the documentation, but one of our own as well."""
    shop = ROOT / "docs" / "shop"
    command = [sys.executable, "-m", "django_prodserver"]
    page = subprocess.check_output(
        [*command, "--settings=shop.settings", "--explain", "--format=html"],
        cwd=shop,
        text=True,
    )
    visit.page.goto("about:blank")
    visit.page.set_content(page)
    assert visit.page.locator("section").count() > 1
    width = "document.documentElement.scrollWidth"
    assert visit.page.evaluate(width) == VIEWS["phone"][0]
    assert visit.errors == []
