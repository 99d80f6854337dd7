"""What the documentation has to have, and to have right: each fact has its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from django_prodserver.backends import loader
from django_prodserver.backends.base import CommandBackend
from django_prodserver.checks.ids import WarningId
from django_prodserver.config import environment
from django_prodserver.exceptions import Fault
from docs._ext import facts
from tests.harness import PROJECT

ROOT = PROJECT.parent.parent
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path.read_text()
    for suffix in ("md", "rst")
    for path in DOCS.rglob(f"*.{suffix}")
    if path.relative_to(DOCS).parts[0] not in ("_build", "shop")
}
BACKENDS = [name for name in PAGES if re.match(r"backends/(?!index)", name)]
HEADINGS = [
    "Overview",
    "When to use",
    "Installation",
    "Basic configuration",
    "ARGS translation",
    "Configuration reference",
    "Advanced examples",
    "Common issues",
    "Official documentation",
]
#: The hosts that pages and extlinks may link to; each was looked at.
HOSTS = {
    "docs.celeryq.dev",
    "docs.djangoproject.com",
    "docs.python.org",
    "github.com",
    # The issuer of the images' signatures, which a command names.
    "token.actions.githubusercontent.com",
    "whitenoise.readthedocs.io",
}
_HERE = {"0.0.0.0", "127.0.0.1", "localhost"}
#: Samples that are not run, by page: each has its reason there.
SKIPPED: dict[str, int] = {
    "backends/procrastinate.md": 1,
    "guides/compare.md": 2,
    "guides/conformance.md": 2,
    "guides/docker-deployment.md": 5,
    "guides/init.md": 1,
    "troubleshooting.md": 2,
}
#: What others' programs read.
_THEIRS = {
    *("FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS", "KUBERNETES_SERVICE_HOST"),
    *(
        "GUNICORN_PID",
        "HOME",
        "LISTEN_FDS",
        "LISTEN_PID",
        "PYTHONPATH",
        "TEMP",
        "TMPDIR",
    ),
    *("UVICORN_WORKERS", "VIRTUAL_ENV"),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_its_label(page):
    label = r"\.\. _[a-z0-9-]+:\n" if page.endswith(".rst") else r"\([a-z0-9-]+\)=\n"
    # Comments for the samples may come before.
    text = re.sub(r"\A(%.*\n|\.\. .*[^:\n]\n|\n)*", "", PAGES[page])
    assert re.match(label, text), page


@pytest.mark.parametrize("page", BACKENDS)
def test_a_backends_page_has_its_headings(page):
    assert re.findall(r"^## (.+)$", PAGES[page], re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", BACKENDS)
def test_a_backends_page_is_short(page):
    assert len(PAGES[page].splitlines()) <= 120


def test_each_backend_has_a_page_and_a_row():
    text = "\n".join(PAGES[page] for page in BACKENDS)
    told = " ".join(re.findall(r"^```\{key-translation\} (.+)$", text, re.M)).split()
    prefix = f"{facts.BACKENDS}."
    known = [path.removeprefix(prefix) for path in loader.known_backends()]
    assert sorted(told) == sorted([*known, "management.ManagementCommands"])
    assert sorted(facts.known()) == sorted(told)
    assert "{backend-comparison}" in PAGES["backends/index.md"]


def test_each_backend_has_a_title_and_a_column_for_its_keys():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    order = [*project["optional-dependencies"], ""]
    columns = {kind: facts.columns(kind) for kind in ("web", "worker", "shared")}
    for path, backend in facts.known().items():
        if not isinstance(backend, CommandBackend):
            continue
        assert backend.title, path
        for kind, keys in (
            ("web", {"WORKERS"}),
            ("worker", {"CONCURRENCY", "SINGLETON"}),
        ):
            has_key = not keys.isdisjoint(backend.keys)
            assert (backend.title in columns[kind]) is has_key, path
    for kind in ("web", "worker"):
        extras = [backends[0].extra for backends in columns[kind].values()]
        assert extras == sorted(extras, key=order.index)
    assert list(columns["shared"]) == [*columns["web"], *columns["worker"]]


def test_two_backends_of_one_title_share_a_column():
    assert len(facts.columns("web")["Uvicorn"]) == 2
    table = facts.neutral_keys("web")
    rows = dict(zip(table.names, table.rows, strict=True))
    assert "no (ASGI), yes (WSGI)" in rows["THREADS"]


def test_each_extra_is_told_of():
    text = "\n".join(PAGES[page] for page in BACKENDS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = {"all", "conformance", "honcho"}
    for extra in set(project["optional-dependencies"]) - others:
        assert re.search(rf'pip install "django-prodserver\[[^"]*\b{extra}\b', text), (
            extra
        )


def test_all_our_names_on_the_pages_are_there():
    """A check, a variable or an extra that is gone is on no page any more."""
    text = "\n".join([*PAGES.values(), (ROOT / "README.md").read_text()])
    known = {found.value for found in (*Fault, *WarningId)}
    assert set(re.findall(r"prodserver\.[EWI]\d{3}", text)) <= known
    ours = set(re.findall(r"\bPRODSERVER_[A-Z_]+\b", text)) - {"PRODSERVER_HEALTH"}
    assert ours <= set(environment.VARIABLES)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for need in re.findall(r"django-prodserver\[[^\]]*\]", text):
        assert Requirement(need).extras <= set(project["optional-dependencies"])


def test_each_variable_that_we_read_is_in_the_table():
    entrypoint = (ROOT / "docker" / "entrypoint.sh").read_text()
    modules = (ROOT / "src").rglob("*.py")
    source = [
        path.read_text() for path in modules if path != Path(environment.__file__)
    ]
    text = "\n".join([*source, entrypoint])
    # Those that begin with "_" are for the process that it starts.
    read = set(re.findall(r'os\.environ(?:\.get\(|\[)"([A-Z]\w+)"', text))
    read |= set(re.findall(r"\$\{([A-Z]\w+)", entrypoint))
    assert read - _THEIRS <= set(environment.VARIABLES)
    for name in environment.VARIABLES:
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("page", [*PAGES, "conf.py"])
def test_links_are_of_the_form_and_to_hosts_that_were_looked_at(page):
    text = PAGES.get(page) or (DOCS / page).read_text()
    for url in re.findall(r"""\bhttps?://[^\s)>\]"'`]+""", text):
        scheme, _, rest = url.partition("://")
        host = re.split("[/:]", rest)[0]
        if host in _HERE or host.endswith("example.com"):
            continue
        assert scheme == "https", url
        assert url[-1] not in ".,;:", url
        assert host in HOSTS, url


#: Where what a page includes is run by the tests, or is itself a page.
RUN = ("compose.example.yaml", "docker", "docs/shop", "example", "tests")


@pytest.mark.parametrize("page", PAGES)
def test_no_block_of_code_escapes_the_tests(page):
    """What is a block of code for Sphinx, and none for those who run the samples."""
    text = PAGES[page]
    unseen = r":::+\s*\{(code|code-block|sourcecode|literalinclude)\}"
    unseen += r"|```+\s*\{(parsed-literal|eval-rst|prompt|doctest)\}"
    if page.endswith(".rst"):
        unseen = r"(?!\s*\.\. ).*::$|\s*\.\. (parsed-literal|prompt|doctest)::|\s*>>>"
    assert not re.findall(rf"^(?:{unseen})", text, re.MULTILINE)
    for file in re.findall(r"literalinclude(?:\}|::) (\S+)", text):
        path = (DOCS / page).parent.joinpath(file).resolve().relative_to(ROOT)
        assert str(path).startswith(RUN), path


def test_each_table_out_of_the_code_is_on_a_page():
    text = "\n".join(PAGES.values())
    source = (DOCS / "_ext" / "directives.py").read_text()
    found = re.findall(r'^        "([a-z-]+)": facts\.', source, re.MULTILINE)
    assert "exit-codes" in found
    assert [name for name in found if not _uses(name, text)] == []
    for kind in ("web", "worker", "shared"):
        assert _uses(f"neutral-keys(\\}}|::) {kind}", text), kind


def _uses(directive: str, text: str) -> bool:
    return bool(re.search(rf"^(```\{{|\.\. ){directive}", text, re.MULTILINE))


def test_skipped_samples_are_few_and_known():
    samples = pytest.importorskip("docs._ext.samples")
    skipped = {
        page: len(found)
        for page in PAGES
        if (found := [s for s in samples.of_page(DOCS / page) if s.skipped])
    }
    assert skipped == SKIPPED


def test_samples_that_another_test_runs_are_run_by_it():
    samples = pytest.importorskip("docs._ext.samples")
    for page in PAGES:
        if test := samples.tested_by(DOCS / page):
            assert Path(page).name in (ROOT / test).read_text(), page


def test_read_the_docs_installs_what_exists():
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((ROOT / ".readthedocs.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    _, install = config["build"]["jobs"]["install"]
    assert "--constraint constraints.txt" in install
    for group in re.findall(r"--group (\S+)", install):
        assert group in project["dependency-groups"]
    for extra in re.findall(r"\.\[(.+?)\]", install):
        assert extra in project["project"]["optional-dependencies"]
    python = config["build"]["tools"]["python"]
    assert (
        f"Programming Language :: Python :: {python}"
        in (project["project"]["classifiers"])
    )
    assert (ROOT / config["sphinx"]["configuration"]).exists()
    assert config["sphinx"]["fail_on_warning"] is True


def test_each_promise_of_the_security_page_names_its_test():
    security = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\| (?!Guarantee|---)(.*) \|$", security, re.M)
    assert len(rows) >= 7
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row)
        assert named, row
        assert all((ROOT / path).is_file() for path in named), row


def test_the_container_tests_run_on_the_default_python():
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    (version,) = re.findall(r"^ARG PYTHON_IMAGE=python:([\d.]+)-", dockerfile, re.M)
    page = PAGES["reference/image.md"]
    assert f"the container tests run on {version}." in page
    # That of the tests, where no registry can be reached.
    choose = (ROOT / "docker" / "offline" / "choose").read_text()
    assert f"    python | python:{version}) " in choose
