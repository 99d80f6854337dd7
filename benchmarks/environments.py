"""
Where the starts are measured: the projects, and two environments for each.

The environments have the same packages at the same versions, but that one has this
django-prodserver and the other the public 3.0.0. The small project is the example;
the big one is Wagtail's own starter project with 300 pages; the others are published
applications. All of it is made in .bench, once, and found there by the next run.

    python -m benchmarks.environments

pins anew what the published applications are installed with, in benchmarks/pins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from benchmarks import services
from benchmarks.published import PUBLISHED, Published

ROOT = Path(__file__).parent.parent
PINS = Path(__file__).parent / "pins"
BENCH = ROOT / ".bench"
PEER = "django-prodserver==3.0.0"
SERVERS = ("gunicorn", "uvicorn", "a2wsgi", "granian", "waitress")
PACKAGES = ("django", *SERVERS, "django-tasks-db", "wagtail", "whitenoise")
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
DEBUG = False
PRODUCTION_PROCESSES = {{}}
"""
OURS = """
INSTALLED_APPS += ["django_prodserver"]
import json, os
PRODUCTION_PROCESSES = json.loads(os.environ.get("BENCH_PROCESSES", "{}"))
"""


#: The measured settings of an application whose preload is given up: nobody else's
#: thread survives a fork.
THREAD = """
import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
GIVEN_UP = """
INSTALLED_APPS += ["bench_thread"]
"""


class Project(NamedTuple):
    """
    A project to start.

    Attributes:
        name: Its name.
        folder: Where its commands run.
        wsgi: Its WSGI application's module.
        asgi: Its ASGI application's module; nothing, if it has none.
        url: A page of it.
        published: What it is, if it is a published application.
    """

    name: str
    folder: Path
    wsgi: str
    asgi: str
    url: str
    published: Published | None = None


def python(environment: str, project: Project | None = None) -> Path:
    """
    Return an interpreter, made where it is not there.

    Args:
        environment: "ours" or "peer".
        project: A published application has environments of its own.
    """
    published = project.published if project else None
    name = f"{project.name}-{environment}" if project and published else environment
    folder = BENCH / name
    program = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        uv = Path(sys.executable).with_name("uv")
        run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        own = [PEER] if environment == "peer" else ["--editable", ROOT]
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
        if project and published:
            packages = [*SERVERS, published.release, *published.packages]
            pins = PINS / f"{project.name}.txt"
        else:
            packages, pins = [*PACKAGES], ROOT / "constraints.txt"
        run(*install, "--python", program, *own, *packages, "--constraint", pins)
        ready.touch()
    return program


def pin(name: str) -> None:
    """Pin what a published application is installed with, at the newest releases."""
    uv = Path(sys.executable).with_name("uv")
    published = PUBLISHED[name]
    PINS.mkdir(exist_ok=True)
    wanted = [*SERVERS, published.release, *published.packages]
    subprocess.run(
        [
            *(str(uv), "pip", "compile", "--quiet", "--upgrade", "--python-version"),
            *("3.13", "--no-emit-index-url", "--no-annotate", "--no-header"),
            *("--output-file", str(PINS / f"{name}.txt"), "-"),
        ],
        input="\n".join(wanted),
        text=True,
        check=True,
    )


def site(program: Path) -> Path:
    """Return the directory of an environment's packages."""
    [found] = program.parent.parent.glob("lib/python*/site-packages")
    return found


def project(name: str) -> Project:
    """Return the "small" project, the "big" one, or a published application."""
    if name == "small":
        made = Project(name, ROOT / "example", "paperwork.wsgi", "paperwork.asgi", "/")
        base = "paperwork.settings"
    elif name == "big":
        made = Project(name, BENCH / "big", "big.wsgi", "big.asgi", "/page-7/")
        base = "big.settings.base"
    else:
        found = PUBLISHED[name]
        folder = BENCH / f"settings-{name}"
        made = Project(name, folder, found.wsgi, found.asgi, found.page, found)
        base = found.settings
    # Last, so that one who was interrupted finds none half made.
    ready = settings_of(made) / "ready"
    if not ready.exists():
        for folder in (settings_of(made), *([made.folder] if name != "small" else [])):
            shutil.rmtree(folder, ignore_errors=True)
        if name == "big":
            wagtail_starts(made)
        write_settings(made, base)
        fill(made)
        ready.touch()
    write_settings(made, base)
    compiled(ROOT / "src", settings_of(made))
    if not made.published:
        compiled(made.folder)
    return made


def served(name: str) -> AbstractContextManager[None]:
    """Return the services that a project needs, to be entered before it is made."""
    published = PUBLISHED.get(name)
    return services.started(published.services if published else (), BENCH / "services")


def compiled(*folders: Path) -> None:
    """Write byte code, as an installer does: where the environment forbids it too."""
    run(sys.executable, "-m", "compileall", "-q", *folders)


def wagtail_starts(made: Project) -> None:
    """Write Wagtail's starter project."""
    wagtail = python("ours").with_name("wagtail")
    run(wagtail, "start", "big", cwd=BENCH)
    # It has none, and what Django's own startproject writes is this.
    (made.folder / "big" / "asgi.py").write_text(ASGI)


def write_settings(made: Project, base: str) -> None:
    """Write the measured settings."""
    folder = settings_of(made)
    (folder / "bench_thread").mkdir(parents=True, exist_ok=True)
    text = SETTINGS.format(base=base)
    if made.asgi:
        text += f'ASGI_APPLICATION = "{made.asgi}.application"\n'
    if made.name == "big":
        # Wagtail's settings for production leave it to a module "local".
        text += 'SECRET_KEY = "for-the-benchmark-only-" + "0" * 40\n'
    if made.published:
        text = made.published.before + text + made.published.text
    # Each whole: some settings modules ask django.conf.settings for what they have
    # defined so far, which fails where another module imports them.
    (folder / "bench_native.py").write_text(text)
    (folder / "bench_ours.py").write_text(text + OURS)
    (folder / "bench_given_up.py").write_text(text + OURS + GIVEN_UP)
    (folder / "bench_thread" / "__init__.py").write_text(THREAD)


def fill(made: Project) -> None:
    """Make the database and the static files."""
    commands: tuple[str, ...] = ("migrate -v0", "collectstatic -v0 --noinput")
    if made.published:
        (settings_of(made) / "data").mkdir()
        commands = made.published.prepare
        if "postgres" in made.published.services:
            services.create_database(made.name)
    env = variables(made, "bench_native")
    for command in commands:
        run(*manage(made), *command.split(), cwd=made.folder, env=env)
    if made.name == "big":
        run(*manage(made), "shell", "-v0", "-c", FILL, cwd=made.folder, env=env)


def settings_of(project: Project) -> Path:
    """Return the folder of the project's measured settings, and of its data."""
    return BENCH / f"settings-{project.name}"


def manage(project: Project, environment: str = "ours") -> list[str]:
    """Return the words that run a management command of the project."""
    program = python(environment, project)
    if not project.published:
        return [str(program), "manage.py"]
    name, *rest = project.published.manage
    packages = site(program)
    return [
        str(program.with_name(name)),
        *(word.format(site=packages) for word in rest),
    ]


def variables(
    project: Project, settings: str, environment: str = "ours", **more: str
) -> dict[str, str]:
    """Return the environment of a process of the project."""
    folder = settings_of(project)
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings,
        "EXAMPLE_DATA_DIR": str(folder),
        "DJANGO_SECRET_KEY": "for-the-benchmark-only-" + "0" * 40,
        "PYTHONPATH": os.pathsep.join([str(folder), str(project.folder)]),
    }
    if project.published:
        known = {
            **os.environ,  # the ports of the services
            "folder": str(folder),
            "settings": settings,
            "site": str(site(python(environment, project))),
        }
        for name, value in project.published.variables.items():
            env[name] = value.format(**known)
    return {**env, **more}


def run(*words: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, env=env, check=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or PUBLISHED:
        pin(each)
