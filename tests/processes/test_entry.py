"""Projects with an entry of their own: all their processes are started through it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Starter
from tests.harness import MODULE, SCRIPT, Running, Web, running, wait_for
from tests.servers import BACKENDS, config

pytestmark = pytest.mark.process

MANAGE = (sys.executable, "manage.py")
READY = "Starting worker"
WORKER = {"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}

SETTINGS = """
SECRET_KEY = "x" * 50
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django_prodserver", "django_tasks_db",
]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"},
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
PRODUCTION_PROCESSES = json.loads(os.environ["TEST_SETTINGS"])["PRODUCTION_PROCESSES"]
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("about", lambda request: HttpResponse("{}"))]
"""

CLASS = """
import json, os
from configurations import Configuration

class Prod(Configuration):
"""

CONFIGURATIONS = {
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
os.environ.setdefault("DJANGO_CONFIGURATION", "Prod")
from configurations.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "settings.py": CLASS + SETTINGS.replace("\n", "\n    "),
    "urls.py": URLS,
    "wsgi.py": "from configurations.wsgi import get_wsgi_application\n"
    "application = get_wsgi_application()\n",
}

#: A manage.py that changes its directory, the path, the environment and a module, as
#: ``pymysql.install_as_MySQLdb()`` does. Without all of it, the settings fail.
CHANGES = {
    "manage.py": """
import os, sys, types
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
os.environ["FROM_DOTENV"] = "1"
sys.modules["MySQLdb"] = types.ModuleType("MySQLdb")
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
""",
    "src/settings.py": "import json, os, MySQLdb\nos.environ['FROM_DOTENV']" + SETTINGS,
    "src/urls.py": URLS,
    "src/wsgi.py": "from django.core.wsgi import get_wsgi_application\n"
    "application = get_wsgi_application()\n",
}
#: The same as a package, which is started with "python -m".
PACKAGE = {
    path.replace("manage.py", "run/__main__.py"): text.replace(
        "os.path.abspath(__file__)", "os.path.dirname(os.path.abspath(__file__))"
    )
    for path, text in CHANGES.items()
}
PROJECTS = {"configurations": CONFIGURATIONS, "changes": CHANGES, "package": PACKAGE}


class Project:
    """A project in a directory of its own."""

    def __init__(self, start: Starter, directory: Path, name: str) -> None:
        self.start = start
        self.directory = directory
        for path, text in PROJECTS[name].items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def environment(self, processes: Any, **env: str) -> dict[str, str]:
        environment = self.start.environment(processes, None, **env)
        if "DJANGO_SETTINGS_MODULE" not in env:
            del environment["DJANGO_SETTINGS_MODULE"]
        return environment

    def migrate(self, **env: str) -> None:
        done = running(
            [*MANAGE, "migrate", "-v0"],
            env=self.environment({"worker": WORKER}, **env),
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stderr

    def web(self, *words: str, processes: Any, port: int, **env: str) -> Web:
        environment = self.environment(processes, **env)
        server: Web = self.start.process(
            words, environment, kind=Web, cwd=self.directory
        )
        server.port = port
        server.wait_until_ready()
        return server

    def worker(self, *words: str, processes: Any, **env: str) -> Running:
        worker: Running = self.start.process(
            words, self.environment(processes, **env), cwd=self.directory
        )
        worker.says(READY)
        return worker


@pytest.fixture(params=["changes", "configurations"])
def project(start: Starter, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    return Project(start, tmp_path / "project", request.param)


@pytest.fixture
def configurations(start: Starter, tmp_path: Path) -> Project:
    return Project(start, tmp_path / "project", "configurations")


def command(pid: int) -> list[str]:
    words: list[str] = psutil.Process(pid).cmdline()
    return words


def test_manage_starts_a_web_process(project: Project, port: int) -> None:
    web = project.web(
        *(*MANAGE, "prodserver", "web", "--timeout=31"),
        processes={"web": config("gunicorn", port, ENV={"SHOP": "1"})},
        port=port,
    )
    assert web.about() == {}


@pytest.mark.parametrize("preload", [True, False], ids=["in-place", "exec"])
def test_manage_starts_a_worker_through_itself(project: Project, preload: bool) -> None:
    project.migrate()
    worker = project.worker(
        *(*MANAGE, "prodserver", "worker", "--interval=0.5"),
        processes={"worker": {**WORKER, "PRELOAD": preload}},
    )
    if not preload:
        _, script, *options = command(worker.process.pid)
        assert Path(script).name == "manage.py"
        assert options[0] == "db_worker"
        assert "--interval=0.5" in options
    wait_for(lambda: project.start.probe("worker").returncode == 0, "a ready worker")
    assert worker.stop() == 0


def test_all_starts_the_processes_through_manage(project: Project, port: int) -> None:
    project.migrate()
    web = project.web(
        *(*MANAGE, "prodserver", "--all"),
        processes={"web": config("gunicorn", port), "worker": WORKER},
        port=port,
    )
    web.says(READY)
    started = [
        (Path(words[1]).name, *words[2:])
        for child in psutil.Process(web.process.pid).children(recursive=True)
        if len(words := child.cmdline()) > 1
    ]
    for name in ("web", "worker"):
        assert ("manage.py", "prodserver", name) in started
    assert web.stop() == 0


def test_devserver_starts_a_worker_through_manage(project: Project) -> None:
    project.migrate()
    server = project.worker(
        *(*MANAGE, "devserver", "worker"), processes={"worker": WORKER}
    )
    (child,) = psutil.Process(server.process.pid).children()
    assert Path(child.cmdline()[1]).name == "manage.py"
    assert child.cmdline()[2] == "db_worker"
    assert server.stop() == 0


def test_devserver_starts_a_web_process(configurations: Project, port: int) -> None:
    web = configurations.web(
        *(*MANAGE, "devserver", "web"),
        processes={"web": config("gunicorn", port)},
        port=port,
    )
    assert web.about() == {}


CONSOLE = {"DJANGO_SETTINGS_MODULE": "settings", "DJANGO_CONFIGURATION": "Prod"}


@pytest.mark.parametrize("via", [MODULE, SCRIPT], ids=["module", "script"])
def test_the_console_command_loads_configurations(
    configurations: Project, port: int, via: Sequence[str]
) -> None:
    web = configurations.web(
        *(*via, "web"),
        processes={"web": config("gunicorn-2", port)},
        port=port,
        **CONSOLE,
    )
    assert web.about() == {}


@pytest.mark.parametrize("preload", [True, False], ids=["in-place", "exec"])
def test_the_console_command_starts_a_worker_with_configurations(
    configurations: Project, preload: bool
) -> None:
    configurations.migrate()
    processes = {"worker": {**WORKER, "PRELOAD": preload}}
    worker = configurations.worker(*SCRIPT, "worker", processes=processes, **CONSOLE)
    if not preload:
        assert "django-cadmin" in {
            Path(word).name for word in command(worker.process.pid)
        }
    probe = configurations.start.probe
    wait_for(lambda: probe("worker").returncode == 0, "a ready worker")
    assert worker.stop() == 0


def test_dry_run_prints_what_works_with_configurations(
    configurations: Project,
) -> None:
    """Also in a shell that does not have the variables of manage.py."""
    done = running(
        [*MANAGE, "prodserver", "worker", "--dry-run"],
        env=configurations.environment({"worker": WORKER}),
        cwd=configurations.directory,
    )
    assert done.returncode == 0, done.stderr
    assert "DJANGO_CONFIGURATION=Prod" in done.stdout.split()
    assert "manage.py db_worker" in done.stdout
    # Nothing of manage.py's, or of the test's, that the line does not name.
    settings = configurations.environment({"worker": WORKER})["TEST_SETTINGS"]
    line = [
        "env",
        "-i",
        f"TEST_SETTINGS={settings}",
        "sh",
        "-c",
        f"exec env {done.stdout}",
    ]
    configurations.migrate()
    worker: Running = configurations.start.process(
        line, {"PATH": os.environ["PATH"]}, cwd=configurations.directory
    )
    worker.says(READY)
    assert worker.stop() == 0


def test_dry_run_of_the_console_command_names_its_management_command(
    configurations: Project,
) -> None:
    done = running(
        [*SCRIPT, "worker", "--dry-run"],
        env=configurations.environment({"worker": WORKER}, **CONSOLE),
        cwd=configurations.directory,
    )
    assert "django-cadmin db_worker" in done.stdout


@pytest.mark.parametrize("preload", [True, False], ids=["in-place", "exec"])
def test_dry_run_prints_what_works_with_what_manage_does(
    start: Starter, tmp_path: Path, preload: bool
) -> None:
    changes = Project(start, tmp_path / "project", "changes")
    changes.migrate()
    environment = changes.environment({"worker": {**WORKER, "PRELOAD": preload}})
    done = running(
        [*MANAGE, "prodserver", "worker", "--dry-run"],
        env=environment,
        cwd=changes.directory,
    )
    worker: Running = start.process(
        ["sh", "-c", f"exec env {done.stdout}"], environment, cwd=changes.directory
    )
    worker.says(READY)
    assert worker.stop() == 0


#: The entry of each project, and how it is configured.
ENTRIES = [
    ("changes", "manage.py", "file", SCRIPT),
    ("configurations", "manage.py", "variable", MODULE),
    ("package", "python -m run", "variable", SCRIPT),
    ("package", "./shop-server", "file", SCRIPT),
]


@pytest.fixture(params=ENTRIES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def entered(
    start: Starter, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[Project, Sequence[str], dict[str, str]]:
    """A project whose entry the console command knows."""
    name, entry, where, via = request.param
    project = Project(start, tmp_path / "project", name)
    script = project.directory / "shop-server"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m run "$@"\n')
    script.chmod(0o755)
    if where == "variable":
        return project, via, {"PRODSERVER_MANAGE": entry}
    content = f'[tool.prodserver]\nmanage = "{entry}"\n'
    (project.directory / "pyproject.toml").write_text(content)
    return project, via, {}


def test_the_console_command_goes_through_the_entry(
    entered: tuple[Project, Sequence[str], dict[str, str]], port: int
) -> None:
    project, via, env = entered
    web = project.web(
        *(*via, "web", "--timeout=31"),
        processes={"web": config("gunicorn-2", port)},
        port=port,
        **env,
    )
    assert web.about() == {}
    # Nothing stays between: the process that was started is the server.
    assert command(web.process.pid)[-3:] == ["prodserver", "web", "--timeout=31"]
    assert command(web.process.pid)[1] in ("manage.py", "-m")
    assert web.stop() == 0


@pytest.mark.parametrize("preload", [True, False], ids=["in-place", "exec"])
def test_the_console_command_starts_a_worker_through_the_entry(
    start: Starter, tmp_path: Path, preload: bool
) -> None:
    project = Project(start, tmp_path / "project", "changes")
    project.migrate()
    worker = project.worker(
        *(*SCRIPT, "worker"),
        processes={"worker": {**WORKER, "PRELOAD": preload}},
        PRODSERVER_MANAGE="manage.py",
    )
    wait_for(lambda: start.probe("worker").returncode == 0, "a ready worker")
    assert worker.stop() == 0


def test_the_console_command_starts_all_through_the_entry(
    start: Starter, tmp_path: Path, port: int
) -> None:
    project = Project(start, tmp_path / "project", "package")
    web = project.web(
        *(*SCRIPT, "--all"),
        processes={"web": config("gunicorn", port)},
        port=port,
        PRODSERVER_MANAGE="python -m run",
    )
    assert web.about() == {}
    assert web.stop() == 0


def test_an_entry_that_changes_its_directory_is_started_again(
    start: Starter, tmp_path: Path, port: int
) -> None:
    """For a variable that the settings must find, and from where it was started."""
    project = Project(start, tmp_path / "project", "package")
    web = project.web(
        *(sys.executable, "-m", "run", "prodserver", "web"),
        processes={"web": config("gunicorn", port, ENV={"SHOP": "1"})},
        port=port,
    )
    assert web.about() == {}


def test_explain_tells_the_entry(start: Starter, tmp_path: Path) -> None:
    project = Project(start, tmp_path / "project", "changes")
    processes = {"web": config("gunicorn", 8000)}
    done = running(
        [*SCRIPT, "web", "--explain"],
        env=project.environment(processes, PRODSERVER_MANAGE="manage.py"),
        cwd=project.directory,
    )
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("entry ")]
    assert row.endswith(" PRODSERVER_MANAGE")
    assert "manage.py " in row


@pytest.mark.parametrize("entry", ["prodserver", "./again", "missing.py"])
def test_a_wrong_entry_is_one_message(
    entry: str, start: Starter, tmp_path: Path
) -> None:
    project = Project(start, tmp_path / "project", "changes")
    script = project.directory / "again"
    script.write_text(f'#!/bin/sh\nshift; exec {SCRIPT[0]} "$@"\n')
    script.chmod(0o755)
    done = running(
        [*SCRIPT, "web"],
        env=project.environment({}, PRODSERVER_MANAGE=entry),
        cwd=project.directory,
    )
    assert done.returncode == 78
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith(f"prodserver: PRODSERVER_MANAGE is '{entry}', ")
    assert second


def test_a_wrong_configuration_names_those_that_there_are(
    configurations: Project,
) -> None:
    done = running(
        [*SCRIPT, "web"],
        env=configurations.environment(
            {}, DJANGO_SETTINGS_MODULE="settings", DJANGO_CONFIGURATION="Prd"
        ),
        cwd=configurations.directory,
    )
    assert done.returncode == 78
    first, second = done.stderr.splitlines()
    assert "DJANGO_CONFIGURATION is 'Prd'" in first
    assert second == "Did you mean 'Prod'? Classes: Prod."


def test_without_a_configuration_the_message_names_the_variable(
    configurations: Project,
) -> None:
    done = running(
        [*SCRIPT, "--list"],
        env=configurations.environment({}, DJANGO_SETTINGS_MODULE="settings"),
        cwd=configurations.directory,
    )
    assert done.returncode == 78
    assert "DJANGO_CONFIGURATION=Production prodserver web" in done.stderr
