"""Requests from outside: out of another container, on the same network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prodserver_conformance.container import Container, Wrong
from prodserver_conformance.engine import NEVER, Engine
from prodserver_conformance.inside import program
from prodserver_conformance.options import Options

#: Where ``inside/request.py`` looks whether it may end.
_GO = "/tmp/go"  # noqa: S108
#: Seconds for what listens to be reached.
_PATIENCE = 10
#: Where a body is asked for, or a form may read it.
_PATHS = ("/", "/admin/login/", "/login/")


class Where(NamedTuple):
    """What to connect to."""

    host: str
    port: str


class Held(NamedTuple):
    """A request in flight, and what comes of it."""

    path: str
    answers: Iterator[str]


class Visitor:
    """
    Asks from a container that runs nothing else: no port has to be published.

    Args:
        engine: Where that is started, when it is needed.
        options: What is checked.
    """

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._host = options.host
        self._slow_path = options.slow_path
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        """One of the image that only waits; for looks into it too."""
        if not self._container:
            self._container = self._engine.start(
                entrypoint=["python", "-c", "import signal; signal.pause()"],
                healthcheck=NEVER,
            )
        return self._container

    def request(self, asked: Container, where: Where) -> str:
        """
        Ask for ``/``; return what comes of it.

        Raises:
            Wrong: Nothing listens there, in time.
        """
        words = program("request", *where, self._host, "/")
        answer = ""

        def is_reached() -> bool:
            nonlocal answer
            answer = self.container.exec(*words).output.strip()
            return not answer.startswith("no answer: [Errno")

        try:
            asked.until(is_reached, "reached", _PATIENCE)
        except Wrong as error:
            raise Wrong(f"{answer}; {error.seen}") from None
        return answer

    def hold(self, where: Where) -> Held | str:
        """Begin a request that is not over until ``release``; else say why not."""
        paths = [self._slow_path] if self._slow_path else _PATHS
        how = ["hold", "slow"] if self._slow_path else ["hold"]
        self.container.exec("rm", "-f", _GO)
        for path in paths:
            words = program("request", *where, self._host, path, *how)
            answers = self.container.lines(*words)
            if (first := next(answers, "no answer")) == "held":
                return Held(path, answers)
        return f"{', '.join(paths)}: {first}; --slow-path names a page that takes long"

    def release(self, held: Held) -> str:
        """Let a request end; return what comes of it."""
        self.container.exec("touch", _GO)
        return next(held.answers, "no answer")
