"""The README: its samples run, and its links lead to pages of the documentation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("sybil", reason="the documentation's tools are not installed")

from docs._ext.page import Page

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SITE = "https://django-prodserver.readthedocs.io/en/latest/"


def is_page(address: str) -> bool:
    """Tell whether the built site has a page at this address."""
    path, _, _ = address.removeprefix(SITE).partition("#")
    name = (path or "index.html").removesuffix(".html")
    return any(
        (ROOT / "docs" / f"{name}.{suffix}").exists() for suffix in ("md", "rst")
    )


def test_each_link_leads_to_a_page_or_a_heading():
    text = README.read_text()
    anchors = {
        f"#{heading.lower().replace(' ', '-')}"
        for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    # A relative link would lead nowhere from PyPI.
    wrong = [
        link
        for link in links
        if link not in anchors and not (link.startswith(SITE) and is_page(link))
    ]
    assert wrong == []


def test_the_links_of_the_package_lead_to_pages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"Documentation", "Changelog"} <= project["urls"].keys()
    for url in project["urls"].values():
        assert url.startswith(SITE), url
        assert is_page(url), url


def test_a_page_that_is_gone_is_seen():
    assert is_page(f"{SITE}guides/quickstart.html#start-it")
    assert not is_page(f"{SITE}guides/nowhere.html")


@pytest.mark.process
def test_the_samples_run(tmp_path: Path):
    page = Page(README, tmp_path)
    assert page.run() == []
