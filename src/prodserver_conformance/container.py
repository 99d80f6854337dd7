"""A running container: inspect it, run commands in it, signal it, wait for it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import docker.errors

from prodserver_conformance.programs import command_line

T = TypeVar("T")
#: How many lines of a log are quoted as the reason of a failure.
_QUOTED_LINES = 8
#: How often a program is run whose output is lost.
_ATTEMPTS = 3


class CheckFailed(Exception):
    """
    The image fails a check.

    Args:
        reason: What was observed instead.
        fix: What to do about it, if the check's own advice does not fit.
    """

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


class CompletedCommand(NamedTuple):
    """A command's exit code, and its whole output."""

    code: int
    output: str

    @property
    def last_lines(self) -> str:
        return _last_lines(self.output)


class Process(NamedTuple):
    """A process as seen in a container; ``state`` is the kernel's letter for it."""

    pid: int
    ppid: int
    uid: int
    state: str
    command: str


class Container:
    """
    A container that was started.

    Args:
        docker: docker-py's object for it.
    """

    def __init__(self, docker: Any) -> None:
        self.docker = docker
        self.started_at = time.monotonic()

    @property
    def log(self) -> str:
        """Everything it wrote, to both streams."""
        return str(self.docker.logs().decode(errors="replace"))

    @property
    def state(self) -> Mapping[str, Any]:
        """``State`` in the output of ``docker inspect``."""
        self.docker.reload()
        return dict(self.docker.attrs["State"])

    @property
    def is_running(self) -> bool:
        return self.state["Status"] in ("created", "running")

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started_at

    @property
    def address(self) -> str:
        """Its IP address on its network."""
        self.docker.reload()
        networks = self.docker.attrs["NetworkSettings"]["Networks"].values()
        return str([network["IPAddress"] for network in networks][-1])

    def exec(self, *command: str, user: str = "") -> CompletedCommand:
        """
        Run a command in it, as ``docker exec`` does.

        Args:
            command: Its words.
            user: The user to run it as; "" for the image's own.

        Raises:
            CheckFailed: The container has exited.
        """
        try:
            done = self.docker.exec_run(list(command), user=user)
        except docker.errors.APIError:
            if self.is_running:
                raise
            raise CheckFailed(self.describe_exit()) from None
        # None if the container exited before the command did.
        code = 137 if done.exit_code is None else int(done.exit_code)
        return CompletedCommand(code, done.output.decode(errors="replace"))

    def stream_lines(self, *command: str) -> Iterator[str]:
        """Run a command in it, and yield each line when it is printed."""
        _, stream = self.docker.exec_run(list(command), stream=True)
        rest = ""
        for chunk in stream:
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            yield from lines

    def run_program(self, name: str, *args: str, site: bool = False) -> Any:
        """
        Run one of ``programs`` in it; return what it prints, parsed as JSON.

        Raises:
            CheckFailed: The program does not run.
        """
        for _ in range(_ATTEMPTS):
            done = self.exec(*command_line(name, *args, site=site))
            # Each prints something. Docker 20.10 has lost it on a busy machine.
            if done.code or done.output:
                break
        try:
            return json.loads(done.output)
        except ValueError:
            reason = (
                f"python in the container exits with {done.code}: {done.last_lines}"
            )
            raise CheckFailed(reason, "The rows need its Python on PATH.") from None

    def processes(self) -> list[Process]:
        """Return all processes in the container."""
        return [Process(*fields) for fields in self.run_program("processes")]

    def signal(self, name: str) -> None:
        """
        Send a signal, such as ``SIGTERM``, to its first process.

        Raises:
            CheckFailed: The container has exited.
        """
        try:
            self.docker.kill(name)
        except docker.errors.APIError:
            if self.is_running:
                raise
            raise CheckFailed(self.describe_exit()) from None

    def kill(self) -> None:
        """Kill it if it still runs."""
        with contextlib.suppress(docker.errors.APIError):
            self.docker.kill()

    def wait_until(
        self, condition: Callable[[], T], description: str, seconds: float
    ) -> T:
        """
        Wait for a condition; return its first true value.

        Raises:
            CheckFailed: It does not become true in time, or the container exits.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            if not self.is_running:
                raise CheckFailed(self.describe_exit())
            time.sleep(0.25)
        reason = f"not {description} within {seconds:g} s; {self._describe_state()}"
        raise CheckFailed(reason)

    def wait_for_exit(self, seconds: float) -> int:
        """
        Wait until it exits; return its exit code.

        Raises:
            CheckFailed: It does not exit in time.
        """
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > deadline:
                reason = f"it does not exit within {seconds:g} s"
                raise CheckFailed(f"{reason}; {self._describe_state()}")
            time.sleep(0.1)
        return int(self.state["ExitCode"])

    def describe_exit(self) -> str:
        """Return its exit code and the end of its log, as a sentence."""
        code, lines = self.state["ExitCode"], _last_lines(self.log)
        return f"it exited with code {code}; its log: {lines or 'nothing'}"

    def _describe_state(self) -> str:
        """Return the output of its last health check or, without one, its log."""
        checks: Sequence[Mapping[str, Any]]
        checks = (self.state.get("Health") or {}).get("Log") or []
        if checks:
            last = checks[-1]
            lines = _last_lines(last["Output"]) or "nothing"
            return f"its HEALTHCHECK, exit code {last['ExitCode']}: {lines}"
        return f"its log: {_last_lines(self.log) or 'nothing'}"


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(line[:200] for line in lines[-_QUOTED_LINES:])
