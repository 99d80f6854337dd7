"""No secret of the settings or the environment is in what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.checks import processes
from django_prodserver.commands import explain, listing, runbook
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import ProdserverError
from django_prodserver.launch.plan import make_plan
from django_prodserver.logs import config
from django_prodserver.process import termination_log
from tests.servers import BACKENDS

ROOT = Path(__file__).parents[3]
S = "Zq7secretZq7"
GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
RELEASE = f"{BACKENDS}.management.ManagementCommands"

PROCESSES: dict[str, dict[str, Any]] = {
    "env": {
        "BACKEND": GUNICORN,
        "ENV": {
            "DATABASE_URL": f"postgres://user@tenant:{S}@h/db",
            "DSN": f"host=db password={S}",
            "GITHUB_PAT": S,
            "FERNET_KEYS": f"{S},{S}",
            "OPTIONS": f"--password {S}",
            "STORAGE": f"AccountName=x;AccountKey={S}==",
        },
    },
    "args": {"BACKEND": GUNICORN, "ARGS": {"env": [f"DB_PW={S}", f"A=://:{S}@h"]}},
    "text": {"BACKEND": GUNICORN, "ARGS": f"-e PASSWORD={S} -eAPI_KEY={S}"},
    "headers": {
        "BACKEND": f"{BACKENDS}.uvicorn.UvicornServer",
        "ARGS": {"header": [f"Authorization:Bearer {S}", f"X-Api-Key:{S}"]},
    },
    "prefix": {
        "BACKEND": GUNICORN,
        "PREFIX": ["vault", "-token", S, "-p", S, "sh", "-c", f"export TOKEN={S}; x"],
    },
    "release": {
        "BACKEND": RELEASE,
        "COMMANDS": [f"check --token={S}", ["check", "--password", S], f"check -p {S}"],
    },
}
WRONG: dict[str, dict[str, Any]] = {
    "prefix": {"BACKEND": GUNICORN, "PREFIX": f"vault --token {S}"},
    "args": {"BACKEND": GUNICORN, "ARGS": {"env": {"SECRET": S}}},
    "quote": {"BACKEND": GUNICORN, "ARGS": f"--env 'SECRET_KEY={S}"},
    "list": {"BACKEND": GUNICORN, "ARGS": [1, {"password": S}]},
    "env": {"BACKEND": GUNICORN, "ENV": [f"SECRET={S}"]},
    "bind": {"BACKEND": GUNICORN, "BIND": f"http://u:{S}@h"},
    "wait": {"BACKEND": GUNICORN, "WAIT_FOR": [f"postgres://u:{S}@h:5"]},
    "commands": {"BACKEND": RELEASE, "COMMANDS": f"migrate --token={S}"},
    "command": {"BACKEND": RELEASE, "COMMANDS": [f"migrate --token '{S}"]},
    "key": {"BACKEND": GUNICORN, "SECRET_KEY": S},
}
#: What is shown, and SECURITY.md says why it is no secret.
NO_SECRETS: dict[str, dict[str, Any]] = {
    "BACKEND": {"BACKEND": f"x.{S}"},
    "WORKERS": {"BACKEND": GUNICORN, "ARGS": {"workers": S}},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--env SECRET_KEY={S}")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_plan_shows_no_secret(name: str) -> None:
    plan = make_plan(Process(name, PROCESSES[name]))
    shown = [listing.command_line(plan), explain.as_text(plan), explain.as_json(plan)]
    for text in shown:
        assert S not in text
    assert any("***" in text for text in shown)
    assert S in listing.command_line(plan, show_secrets=True)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_without_the_secret(name: str, settings: Any) -> None:
    settings.PRODUCTION_PROCESSES = {"web": WRONG[name]}
    found = [*processes.check_processes(), *processes.check_deployment()]
    messages = "\n".join(map(str, found))
    assert "PRODUCTION_PROCESSES['web']" in messages
    assert S not in messages


@pytest.mark.parametrize("name", NO_SECRETS)
def test_what_is_shown_is_no_secret_and_says_why(name: str, settings: Any) -> None:
    settings.PRODUCTION_PROCESSES = {"web": NO_SECRETS[name]}
    found = [*processes.check_processes(), *processes.check_deployment()]
    assert S in "\n".join(map(str, [*found, listing.as_text()]))


def test_every_value_that_is_shown_has_its_reason() -> None:
    security = (ROOT / "SECURITY.md").read_text()
    _, _, rest = security.partition("because they are not secrets:\n\n")
    listed = rest.partition("\n\n")[0].splitlines()
    reasons = [re.match(r"- `(\w+)`.*: (.+)", line) for line in listed]
    assert [reason and reason[1] for reason in reasons] == list(NO_SECRETS)


def test_the_lists_show_no_secret(settings: Any) -> None:
    wrong = {f"wrong-{name}": config for name, config in WRONG.items()}
    settings.PRODUCTION_PROCESSES = {**PROCESSES, **wrong}
    page = runbook.as_html(runbook.plans([]))
    for text in (listing.as_text(), listing.as_json(), page):
        assert S not in text
        assert all(name in text for name in settings.PRODUCTION_PROCESSES)
    assert S in listing.as_text(show_secrets=True)
    assert S in runbook.as_html(runbook.plans([]), show_secrets=True)


def test_a_fatal_error_says_no_secret_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(termination_log, "PATH", str(log))
    with pytest.raises(SystemExit):
        termination_log.exit_with(ProdserverError(f"refused: redis://:{S}@h"))
    told = capfd.readouterr().err + log.read_text()
    assert told.count("redis://:***@h") == 2
    assert S not in told


def test_our_own_log_says_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    config.log(f"waiting for redis://:{S}@h")
    assert capfd.readouterr().err.endswith("waiting for redis://:***@h\n")


SETTINGS = """
import os
from django.core.exceptions import ImproperlyConfigured
SECRET_KEY = "x" * 50
INSTALLED_APPS = ["django_prodserver"]
WSGI_APPLICATION = "broken.application"
if os.environ.get("WRONG"):
    raise ImproperlyConfigured(os.environ["WRONG"])
PRODUCTION_PROCESSES = {"web": {
    "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
    "ARGS": {"bind": "unix:web.sock"},
    "ENV": {"API_KEYS": "Zq7secretZq7"},
}}
"""


@pytest.mark.process
@pytest.mark.parametrize("log_format", ["", "text", "json"])
def test_the_real_command(log_format: str, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(SETTINGS)
    broken = f"raise ValueError('no answer of redis://:{S}@h:1/0')\n"
    (tmp_path / "broken.py").write_text(broken)
    wrong = f"cannot use postgres://u:{S}@h/db with token={S}"

    def run(*words: str, **environment: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("prodserver"), *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "settings",
                "PRODSERVER_LOG_FORMAT": log_format,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout + done.stderr

    told = run("web", WRONG=wrong)
    assert "postgres://u:***@h/db with token=***" in told
    assert S not in told
    assert S not in run("--list") + run("web", "--dry-run") + run("web", "--explain")
    # Gunicorn's own traceback has it, as it has without us: what is ours has not.
    ours = [line for line in run("web").splitlines() if "the application fails" in line]
    assert len(ours) == 1
    assert "redis://:***@h:1/0" in ours[0]
    assert S not in ours[0]
    assert S not in run("web", "--explain")
