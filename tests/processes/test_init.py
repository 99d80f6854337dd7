"""``prodserver --init`` in projects of many forms: what it writes, and what it says."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from tests.harness import wait_for

pytestmark = pytest.mark.process

MANAGE = """
import os, sys
if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "@")
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SECRET = "django-insecure-4r8v0n2k7d1s9q3w5e6t"
SETTINGS = f"""
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "{SECRET}"
DEBUG = True
ALLOWED_HOSTS = []
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "site_.urls"
WSGI_APPLICATION = "site_.wsgi.application"
DATABASES = {{
    "default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
}}
STATIC_URL = "static/"
"""
WSGI = """
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
FILES = {
    "manage.py": MANAGE.replace("@", "site_.settings"),
    "site_/__init__.py": "",
    "site_/settings.py": SETTINGS,
    "site_/urls.py": "urlpatterns = []\n",
    "site_/wsgi.py": WSGI,
    "requirements.txt": "django\n",
}
CELERY = """
from celery import Celery

app = Celery("site_")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
POSTGRESQL = """
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": "site", "USER": "site",
    "PASSWORD": "hunter2secret", "HOST": "localhost",
}}
CELERY_BROKER_URL = "redis://localhost/0"
"""

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a project; its files are the simplest ones and others."""

    def project(files: Mapping[str, str | None] = {}, *, git: bool = True) -> Path:
        root = tmp_path / "project"
        for name, text in {**FILES, **files}.items():
            if text is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
        if git:
            for words in ("init", "add --all", "commit --message=first"):
                _git(root, *words.split())
        return root

    return project


def _git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    command = ["git", *identity, *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(
    root: Path, *words: str, code: int = 0, module: str = "django_prodserver"
) -> str:
    command = [sys.executable, *(("-m", module) if module else ()), *words]
    done = subprocess.run(
        command,
        cwd=root,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def _environment() -> dict[str, str]:
    unset = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")
    return {name: text for name, text in os.environ.items() if name not in unset}


def _tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".git" not in path.parts and path.suffix != ".pyc"
    }


def test_a_project_is_set_up_once_and_git_undoes_it(make: Make) -> None:
    root = make({"site_/celery.py": CELERY, "site_/settings.py": SETTINGS + POSTGRESQL})
    before = _tree(root)
    said = _run(root, "--init", "--yes")
    changed = {name for name, text in _tree(root).items() if before.get(name) != text}
    assert changed == {
        *("site_/settings.py", "requirements.txt", "Dockerfile", ".dockerignore"),
        *("compose.yaml", ".env", ".gitignore"),
    }
    requirements = (root / "requirements.txt").read_text().splitlines()
    assert requirements[0] == "django"
    assert requirements[1].startswith("django-prodserver[celery,gunicorn]>=")
    assert {"whitenoise>=6", "kombu[redis]", "psycopg[binary]"} < set(requirements)
    compose = (root / "compose.yaml").read_text()
    services = re.findall(r"^  (\w+):$", compose.partition("services:")[2], re.M)
    expected = ["web", "worker", "beat", "release", "database", "broker"]
    assert services[: len(expected)] == expected

    # It asks git for what is ignored, and prints no secret.
    assert "?? .env" not in _git(root, "status", "--porcelain")
    generated = [
        line.partition("=")[2]
        for line in (root / ".env").read_text().splitlines()
        if line.startswith(("DJANGO_SECRET_KEY=", "DATABASE_PASSWORD="))
    ]
    assert len(generated) == 2
    for secret in (*generated, SECRET, "hunter2secret"):
        assert secret not in said
        assert secret not in compose

    # The same settings as before, where no variable is set.
    shown = _run(root, "manage.py", "diffsettings", module="")
    assert SECRET in shown
    assert "'HOST': 'localhost'" in shown
    assert "DEBUG = True" in shown
    assert "worker " in _run(root, "manage.py", "prodserver", "--list", module="")

    after = _tree(root)
    assert "Nothing to change" in _run(root, "--init", "--yes")
    assert _tree(root) == after

    undo = re.search(r"To undo it:\n  (.*)\n", said)
    assert undo
    subprocess.run(undo[1], shell=True, check=True, cwd=root)  # noqa: S602
    assert _tree(root) == before


def test_without_git_it_keeps_copies(make: Make) -> None:
    root = make(git=False)
    before = _tree(root)
    said = _run(root, "--init", "--yes")
    copies = re.search(r"Copies of files that git does not have: (\S+)/", said)
    assert copies
    kept = _tree(root / copies[1])
    assert kept == {name: before[name] for name in kept}
    assert set(kept) == {"site_/settings.py", "requirements.txt"}
    undo = re.search(r"To undo it:\n  (.*)\n", said)
    assert undo
    subprocess.run(undo[1], shell=True, check=True, cwd=root)  # noqa: S602
    left = _tree(root)
    assert {name: left[name] for name in before} == before


def test_a_dry_run_and_a_missing_terminal_write_nothing(make: Make) -> None:
    root = make({"site_/celery.py": CELERY})
    before = _tree(root)
    said = _run(root, "--init", "--dry-run")
    assert '+    "django_prodserver",' in said
    assert "+++ b/compose.yaml" in said
    assert SECRET not in said
    said = _run(root, "--init", code=2)
    assert "there is no terminal" in said
    assert "--init --yes" in said
    assert _tree(root) == before


#: A project in which --init has each of its questions to ask.
ASKED = {
    "manage.py": MANAGE.replace("@", "site_.settings.dev"),
    "site_/settings.py": None,
    "site_/settings/__init__.py": "",
    "site_/settings/base.py": SETTINGS,
    "site_/settings/dev.py": "from .base import *\n",
    "site_/settings/staging.py": "from .base import *\n",
    "site_/settings/production.py": "from .base import *\nDEBUG = False\n",
    "site_/celery.py": CELERY,
}
MODULE, BEAT, WRITE = (
    "Settings for production (site_.settings.production, site_.settings.dev)?",
    "Run Celery beat, for periodic tasks? [Y/n]",
    "files? [Y/n]",
)
CTRL_C, CTRL_D = "\x03", "\x04"
# Only so does Ctrl-C become a signal.
TAKES_THE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "django_prodserver", "--init"])
"""


class Terminal:
    """``prodserver --init``, in a terminal of its own, and somebody who types."""

    def __init__(self, root: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKES_THE_TERMINAL],
            cwd=root,
            env=_environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def read(self) -> bool:
        """Read what comes next; False at the end."""
        assert select.select([self._ours], [], [], 120)[0], f"stuck: {self.said}"
        try:
            found = os.read(self._ours, 65536)
        except OSError:  # as Linux says that nobody writes any more
            found = b""
        self.said += found.decode()
        return bool(found)

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, and type."""
        seen = len(self.said)
        while question not in self.said[seen:]:
            assert self.read(), f"no {question!r} in {self.said}"
        # A Ctrl-C just before Python reads would only count after the next line.
        process = psutil.Process(self._process.pid)
        wait_for(lambda: process.status() == psutil.STATUS_SLEEPING, "it reads")
        os.write(self._ours, text.encode())

    def end(self) -> int:
        while self.read():
            pass
        os.close(self._ours)
        assert "Traceback" not in self.said
        return self._process.wait()


def test_empty_answers_are_the_defaults(make: Make) -> None:
    root = make(ASKED)
    terminal = Terminal(root)
    terminal.answer(MODULE, "\n")
    terminal.answer(BEAT, "\n")
    terminal.answer(WRITE, "\n")
    assert terminal.end() == 0, terminal.said
    assert "settings for production: site_.settings.production" in terminal.said
    assert "+++ b/site_/settings/base.py" in terminal.said
    dockerfile = (root / "Dockerfile").read_text()
    assert "DJANGO_SETTINGS_MODULE=site_.settings.production" in dockerfile
    assert "  beat:\n" in (root / "compose.yaml").read_text()


def test_other_answers_count_and_what_is_none_is_asked_again(make: Make) -> None:
    root = make(ASKED)
    terminal = Terminal(root)
    terminal.answer(MODULE, "staging\n")
    terminal.answer(BEAT, "perhaps\n")
    terminal.answer(BEAT, "N\n")
    terminal.answer(WRITE, " Yes \n")
    assert terminal.end() == 0, terminal.said
    dockerfile = (root / "Dockerfile").read_text()
    assert "DJANGO_SETTINGS_MODULE=site_.settings.staging" in dockerfile
    compose = (root / "compose.yaml").read_text()
    assert "  worker:\n" in compose
    assert "  beat:\n" not in compose


@pytest.mark.parametrize(
    ("answers", "code", "expected"),
    [
        ([CTRL_C], 130, "was interrupted, and has changed nothing."),
        (["\n", CTRL_D], 2, "got no answer, and has changed nothing."),
        (["\n", "y\n", CTRL_C], 130, "was interrupted, and has changed nothing."),
        (["\n", "y\n", "no\n"], 0, "Nothing was written."),
        (["prodcution\n"], 2, "Did you mean 'production'?"),
    ],
    ids=["ctrl-c", "ctrl-d", "ctrl-c-at-the-end", "no", "misspelled"],
)
def test_it_asks_and_without_a_yes_writes_nothing(
    answers: list[str], code: int, expected: str, make: Make
) -> None:
    root = make(ASKED)
    before = _tree(root)
    terminal = Terminal(root)
    for question, text in zip((MODULE, BEAT, WRITE), answers, strict=False):
        terminal.answer(question, text)
    assert terminal.end() == code, terminal.said
    assert expected in terminal.said
    assert _tree(root) == before


@pytest.mark.parametrize("git", [True, False], ids=["git", "no-git"])
def test_a_file_that_cannot_be_replaced_leaves_all_as_they_were(
    make: Make, *, git: bool
) -> None:
    """A directory takes the place of one of the last, which nobody may replace."""
    root = make(git=git)
    terminal = Terminal(root)
    terminal.answer(WRITE, "")
    (root / "compose.yaml").mkdir()
    before = _tree(root)
    terminal.answer("", "y\n")
    assert terminal.end() == 78, terminal.said
    assert (
        "prodserver: compose.yaml cannot be written: Is a directory." in terminal.said
    )
    assert "Nothing has been changed." in terminal.said
    after = _tree(root)
    assert {n: t for n, t in after.items() if ".prodserver-backup" not in n} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_a_directory_that_cannot_be_written_to_is_said(make: Make) -> None:
    root = make()
    before = _tree(root)
    root.chmod(0o555)
    said = _run(root, "--init", "--yes", code=78)
    root.chmod(0o755)
    assert f"{root} cannot be written: Permission denied." in said
    assert _tree(root) == before


def test_a_package_of_settings_that_need_variables(make: Make) -> None:
    """The list is in base.py, the image uses production.py, and reads variables."""
    production = (
        "from .base import *\nimport os\nDEBUG = False\n"
        'SECRET_KEY = os.environ["SITE_KEY"]\n'
        'ALLOWED_HOSTS = os.environ.get("SITE_HOSTS", "").split(",")\n'
        'DATABASES["default"]["NAME"] = os.environ["SITE_DB"]\n'
        'PAYMENT_URL = os.environ["PAYMENT_URL"]\n'
    )
    root = make(
        {
            "manage.py": MANAGE.replace("@", "site_.settings.dev"),
            "site_/settings.py": None,
            "site_/settings/__init__.py": "",
            "site_/settings/base.py": SETTINGS,
            "site_/settings/dev.py": "from .base import *\n",
            "site_/settings/production.py": production,
            "Dockerfile": "FROM scratch\n",
            "docker-compose.yml": "services: {}\n",
        }
    )
    said = _run(root, "--init", "--yes")
    assert "settings for production: site_.settings.production" in said
    assert "django_prodserver" in (root / "site_/settings/base.py").read_text()
    # They read all that differs.
    assert (root / "site_/settings/production.py").read_text() == production
    environment = (root / ".env").read_text()
    assert re.search(r"(?m)^SITE_KEY=.{40}", environment)
    assert "SITE_HOSTS=localhost,127.0.0.1\n" in environment
    assert "PAYMENT_URL=\n" in environment
    assert "[ ] Set PAYMENT_URL in .env" in said
    # A person's files stay.
    assert (root / "Dockerfile").read_text() == "FROM scratch\n"
    assert (root / "docker-compose.yml").read_text() == "services: {}\n"
    compose = (root / "compose.prodserver.yaml").read_text()
    assert "dockerfile: Dockerfile.prodserver" in compose
    assert "SITE_DB: /data/db.sqlite3" in compose
    assert "docker compose -f compose.prodserver.yaml up --build" in said
    assert "Nothing to change" in _run(root, "--init", "--yes")


def test_lists_that_cannot_be_edited_are_extended(make: Make) -> None:
    settings = SETTINGS.replace(
        "INSTALLED_APPS = [", "MINE = ()\nINSTALLED_APPS = MINE + ("
    ).replace('staticfiles",\n]', 'staticfiles",\n)')
    settings = settings.replace("MIDDLEWARE = [", "MIDDLEWARE = [] + [")
    root = make(
        {
            **dict.fromkeys(FILES),
            **{f"src/{name}": text for name, text in FILES.items()},
            "src/requirements.txt": None,
            "requirements/base.txt": "django",
            "src/site_/settings.py": settings,
        }
    )
    _run(root, "--init", "--yes")
    program = (
        "from django.conf import settings; print(settings.MIDDLEWARE, "
        "type(settings.INSTALLED_APPS), settings.INSTALLED_APPS[-1])"
    )
    shown = _run(root, "src/manage.py", "shell", "-v0", "-c", program, module="")
    order = ("HealthMiddleware", "SecurityMiddleware", "WhiteNoise", "CommonMiddleware")
    places = [shown.index(name) for name in order]
    assert places == sorted(places)
    assert "<class 'tuple'> django_prodserver" in shown
    assert "WORKDIR /app/src\n" in (root / "Dockerfile").read_text()
    assert "django\ndjango-prodserver[" in (root / "requirements/base.txt").read_text()
    assert "Nothing to change" in _run(root, "--init", "--yes")


def test_a_middleware_that_extends_whitenoise_serves_the_static_files(
    make: Make,
) -> None:
    extended = "\nMIDDLEWARE.insert(0, 'site_.static.ShopWhiteNoiseMiddleware')\n"
    module = (
        "from whitenoise.middleware import WhiteNoiseMiddleware\n"
        "class ShopWhiteNoiseMiddleware(WhiteNoiseMiddleware): pass\n"
    )
    root = make({"site_/settings.py": SETTINGS + extended, "site_/static.py": module})
    said = _run(root, "--init", "--dry-run")
    assert "WhiteNoise, for nothing serves them" not in said
    assert "whitenoise.middleware.WhiteNoiseMiddleware" not in said


def test_a_container_needs_what_the_settings_do_not_have_here(make: Make) -> None:
    settings = (
        f"{SETTINGS}\nimport os\n"
        'CELERY_BROKER_URL = os.environ.get("SITE_BROKER", "")\n'
        'CELERY_RESULT_BACKEND = os.environ.get("SITE_CELERY_RESULTS") or None\n'
        'LOGGING = {"version": 1, "handlers": {"file": {"class": '
        '"logging.FileHandler", "filename": BASE_DIR / "site.log"}}}\n'
    )
    root = make({"site_/settings.py": settings, "site_/celery.py": CELERY})
    said = _run(root, "--init", "--yes")
    compose = (root / "compose.yaml").read_text()
    assert "    SITE_BROKER: redis://broker:6379/0\n" in compose
    assert "    SITE_CELERY_RESULTS: redis://broker:6379/0\n" in compose
    assert "[ ] Files: site.log is opened for writing at the start" in said
    assert said.count("[ ] Files:") == 1


UV = """[project]
name = "site"
version = "1"
dependencies = ["django>=5"]

[tool.uv]
package = false
"""
POETRY = """[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
python = ">=3.11,<4"
django = ">=5"

[tool.poetry.group.dev.dependencies]
ruff = "*"
"""
PDM = UV.replace("[tool.uv]\npackage", "[tool.pdm]\ndistribution")
READS_PYPROJECT = "pip install --no-cache-dir -r /tmp/requirements.txt"


@pytest.mark.parametrize(
    ("pyproject", "lock", "copied", "installed", "step"),
    [
        (
            *(UV, "uv.lock", "pyproject.toml uv.lock ./"),
            *("RUN uv sync --locked --no-dev --no-install-project", "uv lock"),
        ),
        (UV, "", "pyproject.toml /tmp/", READS_PYPROJECT, "uv sync"),
        (
            *(POETRY, "poetry.lock", "pyproject.toml poetry.lock /tmp/project/"),
            "/opt/poetry/bin/poetry export --without-hashes --output requirements.txt;",
            "poetry lock",
        ),
        (
            *(POETRY, "", "pyproject.toml /tmp/project/"),
            *("/opt/poetry/bin/poetry export", "poetry install"),
        ),
        (
            *(PDM, "pdm.lock", "pyproject.toml pdm.lock /tmp/project/"),
            "/opt/pdm/bin/pdm export --prod --without-hashes --output "
            "requirements.txt;",
            "pdm lock",
        ),
    ],
    ids=["uv", "uv-unlocked", "poetry", "poetry-unlocked", "pdm"],
)
def test_the_requirements_are_installed_with_the_projects_own_tool(
    pyproject: str, lock: str, copied: str, installed: str, step: str, make: Make
) -> None:
    """These lines were run with uv 0.13, Poetry 2.5 and PDM 2.29, on such projects."""
    files = {"requirements.txt": None, "pyproject.toml": pyproject}
    root = make({**files, **({lock: ""} if lock else {})}, git=False)
    said = _run(root, "--init", "--yes")
    dockerfile = (root / "Dockerfile").read_text()
    assert f"COPY {copied}\n" in dockerfile
    assert installed in dockerfile
    assert f"Next:\n  {step}\n" in said
    written = tomllib.loads((root / "pyproject.toml").read_text())
    if pyproject == POETRY:
        poetry = written["tool"]["poetry"]
        assert poetry["group"] == {"dev": {"dependencies": {"ruff": "*"}}}
        assert poetry["dependencies"]["django-prodserver"]["extras"] == ["gunicorn"]
    else:
        names = written["project"]["dependencies"]
        assert names[1].startswith("django-prodserver[gunicorn]>=")


WRONG = {
    "no project": ({"manage.py": None}, "there is no manage.py"),
    "unparsable": (
        {"site_/settings.py": "DEBUG = True\nINSTALLED_APPS = [\n"},
        "site_/settings.py, line 2",
    ),
    "not installed": (
        {"site_/settings.py": "import no_such_package_xyz\n"},
        "No module named 'no_such_package_xyz'",
    ),
    "raises": ({"site_/settings.py": "1 / 0\n"}, "ZeroDivisionError"),
    "a directory": (
        {"Dockerfile/README": ""},
        "Dockerfile cannot be read: Is a directory.\nNothing has been changed.",
    ),
    "no requirements": ({"pyproject.toml": "[project\n"}, "pyproject.toml"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_set_up_is_one_message(make: Make, wrong: str) -> None:
    files, expected = WRONG[wrong]
    root = make(files, git=False)
    before = _tree(root)
    said = _run(root, "--init", "--yes", code=78)
    assert expected in said
    assert said.splitlines()[-2].startswith("prodserver: ")
    assert _tree(root) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--yes"], "--yes only goes with --init"),
        (["web", "--init"], "--init does not go with web"),
        (["--init", "--list"], "--init does not go with --list"),
        (["--init", "--yse"], "Did you mean '--yes'?"),
    ],
)
def test_a_wrong_command_line_is_one_message(
    make: Make, words: list[str], expected: str
) -> None:
    assert expected in _run(make(git=False), *words, code=2)
