"""A container of the image: look, ask, signal, wait."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import docker.errors

from prodserver_conformance.inside import program

T = TypeVar("T")
#: Lines of a log that say why something is not so.
_LAST = 8


class Wrong(Exception):
    """
    A row's answer is no.

    Args:
        seen: What was seen instead.
        fix: What to do about it, if the row's own advice does not fit.
    """

    def __init__(self, seen: str, fix: str = "") -> None:
        super().__init__(seen)
        self.seen = seen
        self.fix = fix


class Finished(NamedTuple):
    """What a command ended with, and all that it said."""

    code: int
    output: str

    @property
    def last_words(self) -> str:
        return _last_lines(self.output)


class Process(NamedTuple):
    """A process as a container sees it; ``state`` is the kernel's letter."""

    pid: int
    ppid: int
    uid: int
    state: str
    command: str


class Container:
    """
    A container that was started.

    Args:
        docker: docker-py's.
    """

    def __init__(self, docker: Any) -> None:
        self.docker = docker
        self.began = time.monotonic()

    @property
    def log(self) -> str:
        """All that it wrote, to both streams."""
        return str(self.docker.logs().decode(errors="replace"))

    @property
    def state(self) -> Mapping[str, Any]:
        """``docker inspect``'s State."""
        self.docker.reload()
        return dict(self.docker.attrs["State"])

    @property
    def is_running(self) -> bool:
        return self.state["Status"] in ("created", "running")

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.began

    @property
    def address(self) -> str:
        """Its address on its network."""
        self.docker.reload()
        networks = self.docker.attrs["NetworkSettings"]["Networks"].values()
        return str([network["IPAddress"] for network in networks][-1])

    def exec(self, *command: str) -> Finished:
        """
        Run a command in it, as ``docker exec`` does.

        Raises:
            Wrong: It has ended.
        """
        try:
            done = self.docker.exec_run(list(command))
        except docker.errors.APIError:
            if self.is_running:
                raise
            raise Wrong(self.ending()) from None
        # None where the container ended first.
        code = 137 if done.exit_code is None else int(done.exit_code)
        return Finished(code, done.output.decode(errors="replace"))

    def lines(self, *command: str) -> Iterator[str]:
        """Run a command in it, and yield each line as it is said."""
        _, stream = self.docker.exec_run(list(command), stream=True)
        rest = ""
        for chunk in stream:
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            yield from lines

    def told(self, name: str, *args: str, site: bool = False) -> Any:
        """
        Return what a program of ``inside`` prints as JSON.

        Raises:
            Wrong: It does not run.
        """
        done = self.exec(*program(name, *args, site=site))
        try:
            return json.loads(done.output)
        except ValueError:
            what = f"python in the container exits with {done.code}: {done.last_words}"
            raise Wrong(what, "The rows need its Python on PATH.") from None

    def processes(self) -> list[Process]:
        return [Process(*row) for row in self.told("processes")]

    def signal(self, name: str) -> None:
        """
        Send a signal, ``SIGTERM``, to its first process.

        Raises:
            Wrong: It has ended.
        """
        try:
            self.docker.kill(name)
        except docker.errors.APIError:
            if self.is_running:
                raise
            raise Wrong(self.ending()) from None

    def kill(self) -> None:
        """End it at once, if it runs."""
        with contextlib.suppress(docker.errors.APIError):
            self.docker.kill()

    def until(self, look: Callable[[], T], what: str, seconds: float) -> T:
        """
        Return the first true value of ``look``.

        Raises:
            Wrong: It does not come in time, or the container ends.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := look():
                return found
            if not self.is_running:
                raise Wrong(self.ending())
            time.sleep(0.25)
        raise Wrong(f"not {what} within {seconds:g} s; {self._why()}")

    def exits(self, seconds: float) -> int:
        """
        Wait for its end; return its exit code.

        Raises:
            Wrong: It does not end in time.
        """
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > deadline:
                raise Wrong(f"it does not end within {seconds:g} s; {self._why()}")
            time.sleep(0.1)
        return int(self.state["ExitCode"])

    def ending(self) -> str:
        """Say how it ended."""
        code, words = self.state["ExitCode"], _last_lines(self.log)
        return f"it ended with exit code {code}; its log: {words or 'nothing'}"

    def _why(self) -> str:
        checks: Sequence[Mapping[str, Any]]
        checks = (self.state.get("Health") or {}).get("Log") or []
        if checks:
            last = checks[-1]
            said = _last_lines(last["Output"]) or "nothing"
            return f"its HEALTHCHECK, exit code {last['ExitCode']}: {said}"
        return f"its log: {_last_lines(self.log) or 'nothing'}"


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(line[:200] for line in lines[-_LAST:])
