"""
Where the starts are measured: two environments, and two projects.

The environments have the same packages at the same versions, but that one has this
django-prodserver and the other the public 3.0.0. The small project is the example;
the big one is Wagtail's own starter project with 300 pages. All of it is made in
.bench, once, and found there by the next run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BENCH = ROOT / ".bench"
PEER = "django-prodserver==3.0.0"
PACKAGES = (
    *("django", "gunicorn", "uvicorn", "a2wsgi", "granian", "waitress"),
    *("django-tasks-db", "wagtail", "whitenoise"),
)
#: Pages of the big project, and how it gets them.
PAGES = 300
FILL = f"""
from home.models import HomePage
root = HomePage.objects.get()
for number in range({PAGES}):
    root.add_child(instance=HomePage(title=f"Page {{number}}", slug=f"page-{{number}}"))
"""
ASGI = """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""
#: What the measured settings add to the project's; without a trace of ours where
#: the native command runs, as its users have it.
SETTINGS = """
from {base} import *
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django_prodserver"]
MIDDLEWARE = [each for each in MIDDLEWARE if "prodserver" not in each]
ALLOWED_HOSTS = ["*"]
ASGI_APPLICATION = WSGI_APPLICATION.replace("wsgi", "asgi")
DEBUG = False
PRODUCTION_PROCESSES = {{}}
"""
OURS = """
from bench_native import *
INSTALLED_APPS += ["django_prodserver"]
import json, os
PRODUCTION_PROCESSES = json.loads(os.environ.get("BENCH_PROCESSES", "{}"))
"""


class Project(NamedTuple):
    """A project to start: its folder, its applications' module, a page of it."""

    name: str
    folder: Path
    package: str
    url: str


def python(environment: str) -> Path:
    """Return the interpreter of "ours" or "peer", made where it is not there."""
    folder = BENCH / environment
    program = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        uv = Path(sys.executable).with_name("uv")
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        own = [PEER] if environment == "peer" else ["--editable", ROOT]
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        pins = ["--constraint", ROOT / "constraints.txt"]
        run(*install, "--python", program, *own, *PACKAGES, *pins)
        ready.touch()
    return program


def project(name: str) -> Project:
    """Return the "small" project or the "big" one, ready to start."""
    if name == "small":
        made, base = Project(name, ROOT / "example", "paperwork", "/"), ""
    else:
        made, base = Project(name, BENCH / "big", "big", "/page-7/"), ".base"
    # Last, so that one who was interrupted finds none half made.
    ready = settings_of(made) / "ready"
    if not ready.exists():
        for folder in (settings_of(made), *([made.folder] if base else [])):
            shutil.rmtree(folder, ignore_errors=True)
        if base:
            wagtail_starts(made)
        fill(made, f"{made.package}.settings{base}")
        ready.touch()
    compiled(ROOT / "src", made.folder, settings_of(made))
    return made


def compiled(*folders: Path) -> None:
    """Write byte code, as an installer does: where the environment forbids it too."""
    run(sys.executable, "-m", "compileall", "-q", *folders)


def wagtail_starts(made: Project) -> None:
    """Write Wagtail's starter project."""
    wagtail = python("ours").with_name("wagtail")
    run(wagtail, "start", "big", cwd=BENCH)
    # It has none, and what Django's own startproject writes is this.
    (made.folder / made.package / "asgi.py").write_text(ASGI)


def fill(made: Project, base: str) -> None:
    """Write the measured settings, and make the database."""
    folder = settings_of(made)
    manage = [python("ours"), "manage.py"]
    folder.mkdir(parents=True)
    text = SETTINGS.format(base=base)
    if made.name == "big":
        # Wagtail's settings for production leave it to a module "local".
        text += 'SECRET_KEY = "for-the-benchmark-only-" + "0" * 40\n'
    (folder / "bench_native.py").write_text(text)
    (folder / "bench_ours.py").write_text(OURS)
    env = variables(made, "bench_native")
    run(*manage, "migrate", "-v0", cwd=made.folder, env=env)
    run(*manage, "collectstatic", "-v0", "--noinput", cwd=made.folder, env=env)
    if made.name == "big":
        run(*manage, "shell", "-v0", "-c", FILL, cwd=made.folder, env=env)


def settings_of(project: Project) -> Path:
    """Return the folder of the project's measured settings, and of its data."""
    return BENCH / f"settings-{project.name}"


def variables(project: Project, settings: str, **more: str) -> dict[str, str]:
    """Return the environment of a process of the project."""
    folder = settings_of(project)
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings,
        "EXAMPLE_DATA_DIR": str(folder),
        "DJANGO_SECRET_KEY": "for-the-benchmark-only-" + "0" * 40,
        "PYTHONPATH": os.pathsep.join([str(folder), str(project.folder)]),
        **more,
    }


def run(*words: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, env=env, check=True)
