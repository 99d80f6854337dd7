"""Every branch of the entrypoint, in the image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.containers.harness import (
    WEB,
    Container,
    Containers,
    Finished,
    Process,
)

pytestmark = pytest.mark.container

_ECHO = {"BACKEND": "proj.thirdparty.EchoServer"}
ECHO = {
    "PRODUCTION_PROCESSES": {
        "web": {**_ECHO, "ARGS": {"which": "web"}},
        "worker": {**_ECHO, "ARGS": {"which": "worker"}},
    }
}
TERMINATION_LOG = "/dev/termination-log"


class Runner:
    """Runs the image to its end, as Kubernetes would: with a place for the reason."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        folder = containers.folder.parent
        self.hooks = folder / "hooks"
        self.hooks.mkdir()
        self.log = folder / "termination-log"
        self.log.touch()
        self.log.chmod(0o666)

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] = ECHO,
        **options: Any,
    ) -> Finished:
        mounts = {TERMINATION_LOG: self.log, "/docker-entrypoint.d": self.hooks}
        env = {"TEST_SETTINGS": json.dumps(settings), **(env or {})}
        return self._containers.run(*args, env=env, mounts=mounts, **options)

    @property
    def reason(self) -> str:
        return self.log.read_text()

    def hook(self, name: str, script: str) -> None:
        path = self.hooks / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def run(containers: Containers) -> Runner:
    return Runner(containers)


@pytest.mark.parametrize(
    ("args", "env", "printed"),
    [
        pytest.param((), {}, '["--which=web"]', id="nothing-is-web"),
        pytest.param(
            (), {"PROCESS_NAME": "worker"}, '["--which=worker"]', id="PROCESS_NAME"
        ),
        pytest.param(
            ("--queue", "a  b"),
            {"PROCESS_NAME": "worker"},
            '["--which=worker", "--queue", "a  b"]',
            id="options-are-the-process's",
        ),
        pytest.param(
            ("worker", "--queue=a  b"),
            {"PROCESS_NAME": "web"},
            '["--which=worker", "--queue=a  b"]',
            id="a-name-is-stronger-than-PROCESS_NAME",
        ),
        pytest.param(
            ("python", "-c", "print('a  b')"), {}, "a  b", id="a-command-is-itself"
        ),
        pytest.param(
            ("python", "manage.py", "shell", "-v0", "-c", "print(6 * 7)"),
            {},
            "42",
            id="manage.py",
        ),
        pytest.param(("bash", "-c", "echo $PWD"), {}, "/app", id="bash"),
        pytest.param(("--", "echo", "--x", "--"), {}, "--x --", id="behind-dashes"),
        pytest.param(
            ("prodserver", "worker"), {}, '["--which=worker"]', id="prodserver-itself"
        ),
    ],
)
def test_what_is_started(
    args: Sequence[str], env: Mapping[str, str], printed: str, run: Runner
) -> None:
    done = run(*args, env=env)
    assert done == (0, f"{printed}\n")
    assert run.reason == ""


@pytest.mark.parametrize(
    ("args", "env", "code", "said"),
    [
        pytest.param(
            ("wbe",),
            {},
            78,
            "prodserver: No process named 'wbe'.\n"
            "Did you mean 'web'? Configured: web, worker.\n",
            id="unknown-process",
        ),
        pytest.param(
            (),
            {"PROCESS_NAME": "wbe"},
            78,
            "prodserver: No process named 'wbe' (from PROCESS_NAME).\n"
            "Did you mean 'web'? Configured: web, worker.\n",
            id="unknown-PROCESS_NAME",
        ),
        pytest.param(
            ("pyhton", "manage.py", "x"),
            {},
            78,
            "prodserver: No process named 'pyhton'.\nConfigured: web, worker.\n",
            id="misspelled-command",
        ),
        pytest.param(
            ("web", "worker"),
            {},
            2,
            "prodserver: prodserver starts one process, not several: web worker.\n"
            "To run several: prodserver --all web worker\n",
            id="several-processes",
        ),
        pytest.param(
            ("prodserver", "--init", "--yes"),
            {},
            2,
            "prodserver: --init does not work in a container: the image does not have "
            "it.\nInstall django-prodserver on your machine, and run it in your "
            "project's directory: prodserver --init\n",
            id="init",
        ),
        pytest.param(
            ("--",),
            {},
            2,
            "entrypoint: a command is missing after --\n",
            id="no-command",
        ),
        pytest.param(
            (),
            {"DRAIN_DELAY": "soon"},
            78,
            "entrypoint: DRAIN_DELAY is 'soon'; set it to a number of seconds\n",
            id="no-delay",
        ),
        pytest.param(
            ("python", "manage.py", "prodserver", "wbe"),
            {},
            78,
            "prodserver: No process named 'wbe'.\n"
            "Did you mean 'web'? Configured: web, worker.\n",
            id="manage.py",
        ),
    ],
)
def test_what_is_refused(
    args: Sequence[str], env: Mapping[str, str], code: int, said: str, run: Runner
) -> None:
    """In the log, and where Kubernetes looks for the reason; nothing else there."""
    done = run(*args, env=env)
    assert done.code == code
    assert said.removeprefix("prodserver: ") in done.output
    assert "Traceback" not in done.output
    assert run.reason == said


def test_a_command_that_is_misspelled_is_said_to_be_none(run: Runner) -> None:
    said = "entrypoint: 'pyhton' is not a command here; starting it as a process"
    assert said in run("pyhton", "manage.py", "migrate").output


def test_the_exit_status_is_the_command_s(run: Runner) -> None:
    assert run("sh", "-c", "exit 7").code == 7
    assert run("--", "sh", "-c", "kill -KILL $$").code == 128 + 9


def test_hooks_run_in_order_before_the_process(run: Runner) -> None:
    run.hook("20-second", "echo second")
    run.hook("10-first", "echo first")
    assert run("worker", hardened=True) == (0, 'first\nsecond\n["--which=worker"]\n')


def test_a_hook_that_fails_ends_the_start(run: Runner) -> None:
    run.hook("10-secrets", "echo cannot reach the vault >&2; exit 3")
    run.hook("20-after", "echo after")
    said = (
        "entrypoint: /docker-entrypoint.d/10-secrets failed with status 3, "
        "not starting\n"
    )
    assert run("worker") == (3, f"cannot reach the vault\n{said}")
    assert run.reason == said


def test_a_hook_that_cannot_run_ends_the_start(run: Runner) -> None:
    run.hook("10-secrets", "")
    (run.hooks / "10-secrets").chmod(0o644)
    done = run("worker")
    assert done.code == 126
    assert "/docker-entrypoint.d/10-secrets is not executable" in run.reason


def test_the_base_image_says_what_it_has_not(run: Runner, containers: Containers):
    """The image alone, without a project."""
    done = run(image=containers.images.base)
    assert done == (78, run.reason)
    assert run.reason == (
        "prodserver: Django is not installed in /opt/venv.\n"
        'Install your project there: pip install "django-prodserver[gunicorn]"\n'
    )
    assert run("prodserver-probe", image=containers.images.base).code == 2
    assert run("python", "-V", image=containers.images.base).code == 0


def test_a_package_that_is_missing_is_named(run: Runner) -> None:
    settings = {
        "PRODUCTION_PROCESSES": {
            "web": {"BACKEND": "django_prodserver.backends.celery.CeleryFlower"}
        }
    }
    done = run("web", settings=settings)
    assert done.code == 78
    assert done.output == run.reason


@pytest.mark.parametrize("name", WEB)
def test_a_broken_application_ends_with_its_traceback(name: str, run: Runner) -> None:
    """Within a time that no orchestrator would call hanging."""
    broken = "proj.broken.application"
    settings = {"WSGI_APPLICATION": broken, "ASGI_APPLICATION": broken}
    done = run(env={"PROCESS_NAME": name}, settings=settings)
    assert done.code not in (0, 137)
    assert "Traceback (most recent call last)" in done.output
    assert "RuntimeError: a bug of the user's" in done.output


def test_a_drain_serves_on_and_then_stops(containers: Containers) -> None:
    """Not ready at once, and serving; then the stop that it would have been."""
    web = containers.web("gunicorn", env={"DRAIN_DELAY": "5"})
    web.until(lambda: web.probe("--ready").code == 0, "ready")
    web.signal("SIGTERM")
    web.until(lambda: web.probe("--ready").code == 1, "not ready")
    assert json.loads(web.get("/about"))["pid"]
    assert web.probe("--live").code == 0
    assert web.exits() == 0
    web.log_is_clean()


def test_below_another_init(containers: Containers) -> None:
    """With docker run --init, what the server leaves is still reaped by tini."""
    web = containers.web("gunicorn", init=True)
    first, *rest = web.processes()
    assert (first.pid, "init" in first.command) == (1, True)
    [tini] = [process for process in rest if process.ppid == 1]
    assert tini.command.startswith("/usr/bin/tini")
    assert web.get("/orphans").split() == ["200", str(tini.pid)]
    web.until(lambda: not _zombies(web), "no zombies")
    request = web.in_flight("/slow?s=3")
    assert web.stop().code == 0
    assert request.result() == "slow done"
    web.log_is_clean()


def test_in_the_processes_of_another_container(containers: Containers) -> None:
    """As with shareProcessNamespace: each is its own, and neither is PID 1."""
    pause = containers.start("sleep", "infinity")
    shared = f"container:{pause.docker.id}"
    first = containers.web("gunicorn", pid_mode=shared)
    second = containers.web("waitress", pid_mode=shared)
    for web in (first, second):
        _reaps_by_a_tini_of_its_own(web)
    request = first.in_flight("/slow?s=3")
    assert first.stop().code == 0
    assert request.result() == "slow done"
    assert second.probe().code == 0
    assert second.stop().code == 0
    first.log_is_clean()
    second.log_is_clean()


def _reaps_by_a_tini_of_its_own(web: Container) -> None:
    web.until(lambda: web.probe().code == 0, "ready")
    count, adopted = web.get("/orphans").split()
    assert (count, adopted != "1") == ("200", True)
    commands = {process.pid: process.command for process in web.processes()}
    assert commands[int(adopted)].startswith("/usr/bin/tini")
    web.until(lambda: not _zombies(web), "no zombies")


def _zombies(web: Container) -> list[Process]:
    return [process for process in web.processes() if process.state == "Z"]
