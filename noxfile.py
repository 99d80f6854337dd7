"""The quick tests on every supported Python and Django, each in a fresh environment."""

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True

EXTRAS = (
    ".[gunicorn,uvicorn,granian,waitress,hypercorn,celery,flower,django-tasks,"
    "rq,huey,django-q2,dramatiq,procrastinate,honcho]"
)
# Django 6 needs Python 3.12, and Python 3.15 needs Django 6.1. Before Django 6 its
# tasks are a backport, which django-tasks-db brings as "compat".
VERSIONS = [
    ("3.11", "5.2"),
    ("3.12", "5.2"),
    ("3.12", "6.0"),
    ("3.13", "5.2"),
    ("3.13", "6.0"),
    ("3.13", "6.1"),
    ("3.14", "5.2"),
    ("3.14", "6.0"),
    ("3.14", "6.1"),
    ("3.15", "6.1"),
]
# "make test" sets it to the versions of .venv, where it runs all the tests anyway.
SKIP = os.environ.get("SKIP_VERSIONS", "")
# All but those that depend neither on Python nor on Django, which "make test" runs
# once. So it does the tests of the documentation, which is built with the newest of
# everything.
QUICK_TESTS = "tests/on-each-python"


@nox.session
@nox.parametrize(("python", "django"), VERSIONS)
def tests(session: nox.Session, django: str) -> None:
    """Run the tests that start no servers and no containers."""
    if f"{session.python}-{django}" == SKIP:
        session.skip("make test runs all the tests with these versions")
    compat = ["django-tasks-db[compat]"] if django == "5.2" else []
    # All versions but Django's are pinned.
    pins = Path("constraints.txt").read_text().splitlines(keepends=True)
    constraints = Path(session.create_tmp()) / "constraints.txt"
    constraints.write_text("".join(p for p in pins if not p.startswith("django==")))
    session.install(
        *(EXTRAS, f"django~={django}.0", *compat),
        *("--group", "test", "--group", "process", "--group", "container"),
        *("--constraint", str(constraints)),
    )
    session.run(
        *("pytest", f"@{QUICK_TESTS}", "-m", "not process and not container"),
        *("--numprocesses", "auto", "--maxprocesses", "4"),
        *session.posargs,
    )


# What is patched or asked for its options: each of them in its newest release, which
# may be a pre-release. Their own dependencies follow.
CANARIES = [
    *("django", "gunicorn", "uvicorn", "granian", "waitress", "hypercorn"),
    *(
        "celery",
        "flower",
        "django-tasks-db",
        "django-tasks-rq",
        "django-q2",
        "django-rq",
        "rq",
        "huey",
        "dramatiq",
        "django-dramatiq",
        "procrastinate",
    ),
]


@nox.session(default=False)
def canary(session: nox.Session) -> None:
    """Run the tests with the pre-releases of Django, the servers and the workers."""
    session.install(
        # For uv, a version like this asks for pre-releases of that package.
        *(EXTRAS, *(f"{name}>=0.dev0" for name in CANARIES)),
        *("--group", "test", "--group", "process"),
        *("--upgrade", "--prerelease", "if-necessary-or-explicit"),
    )
    session.run("uv", "pip", "list", external=True)
    session.run(
        *("pytest", *(session.posargs or [f"@{QUICK_TESTS}"]), "-m", "not container"),
        *("--numprocesses", "auto", "--maxprocesses", "4"),
        # It fails with each new release, as it is meant to, and not only here.
        "--deselect=tests/unit/backends/test_patches.py::"
        "test_no_patch_is_there_longer_than_needed",
    )
