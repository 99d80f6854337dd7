"""The quick tests on every supported Python and Django, each in a fresh install."""

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True

EXTRAS = (
    ".[gunicorn,uvicorn,granian,waitress,celery,flower,django-tasks,django-q2,honcho]"
)
# Django 6 needs Python 3.12; before Django 6 its tasks are a backport, which
# django-tasks-db brings as "compat".
VERSIONS = [
    ("3.11", "5.2"),
    ("3.12", "5.2"),
    ("3.12", "6.0"),
    ("3.13", "5.2"),
    ("3.13", "6.0"),
    ("3.13", "6.1"),
]


@nox.session
@nox.parametrize(("python", "django"), VERSIONS)
def tests(session: nox.Session, django: str) -> None:
    """Run the tests that start no servers and no containers."""
    compat = ["django-tasks-db[compat]"] if django == "5.2" else []
    # Everything but Django as it is pinned.
    pins = Path("constraints.txt").read_text().splitlines(keepends=True)
    constraints = Path(session.create_tmp()) / "constraints.txt"
    constraints.write_text("".join(p for p in pins if not p.startswith("django==")))
    session.install(
        *(EXTRAS, f"django~={django}.0", *compat),
        *("--group", "test", "--group", "process", "--group", "container"),
        *("--constraint", str(constraints)),
    )
    # Not the documentation: what builds it is for the newest of everything.
    quick = "not process and not container"
    session.run("pytest", "tests", "-m", quick, *session.posargs)
