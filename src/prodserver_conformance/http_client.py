"""An HTTP client in another container, on the same network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from prodserver_conformance.container import CheckFailed, Container
from prodserver_conformance.engine import NO_HEALTHCHECK, Engine
from prodserver_conformance.options import Options
from prodserver_conformance.programs import command_line

#: The file that lets ``programs/request.py`` finish its request.
_GO = "/tmp/go"  # noqa: S108
#: Seconds until the server has to be reachable.
_TIMEOUT = 10
#: Pages that may read a request's body; the last two are Django's login forms.
_PATHS = ("/", "/admin/login/", "/login/")


class Address(NamedTuple):
    """Where to connect to."""

    host: str
    port: str


class PendingRequest(NamedTuple):
    """A request in flight, and the lines that its program still prints."""

    path: str
    answers: Iterator[str]


class Response(NamedTuple):
    """A response; ``headers`` by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: str


class HTTPClient:
    """
    Make requests from a container that runs nothing else, so that no port is published.

    Args:
        engine: Starts the container at the first request.
        options: The options of the run.
    """

    def __init__(self, engine: Engine, options: Options) -> None:
        self._engine = engine
        self._host = options.host
        self._slow_path = options.slow_path
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        """The client's container, of the same image; checks may look into it, too."""
        if not self._container:
            self._container = self._engine.start(
                entrypoint=["python", "-c", "import signal; signal.pause()"],
                healthcheck=NO_HEALTHCHECK,
            )
        return self._container

    def request(self, server: Container, address: Address) -> str:
        """
        Request ``/``; return the answer, or why there is none.

        Raises:
            CheckFailed: Nothing listens there in time.
        """
        command = command_line("request", *address, self._host, "/")
        answer = ""

        def is_reachable() -> bool:
            nonlocal answer
            answer = self.container.exec(*command).output.strip()
            return not answer.startswith("no answer: [Errno")

        try:
            server.wait_until(is_reachable, "reached", _TIMEOUT)
        except CheckFailed as error:
            raise CheckFailed(f"{answer}; {error.reason}") from None
        return answer

    def get(
        self, client: Container, address: Address, path: str, *headers: str
    ) -> Response | str:
        """
        Request a path; return the response, or why there is none.

        Args:
            client: The container that makes the request.
            address: Where it connects to.
            path: The path, not yet encoded.
            headers: More headers, "Name: value".
        """
        encoded = quote(path, safe="/-*_")
        words = (*address, self._host, encoded, *headers)
        found = client.run_program("response", *words)
        return str(found.get("error") or "") or Response(**found)

    def hold(self, address: Address) -> PendingRequest | str:
        """Begin a request that lasts until ``release``; else return why not."""
        paths = [self._slow_path] if self._slow_path else _PATHS
        mode = ["hold", "slow"] if self._slow_path else ["hold"]
        self.container.exec("rm", "-f", _GO)
        for path in paths:
            command = command_line("request", *address, self._host, path, *mode)
            answers = self.container.stream_lines(*command)
            if (first := next(answers, "no answer")) == "held":
                return PendingRequest(path, answers)
        return f"{', '.join(paths)}: {first}; --slow-path names a page that takes long"

    def release(self, pending: PendingRequest) -> str:
        """Let a request finish; return its answer, or why there is none."""
        self.container.exec("touch", _GO)
        return next(pending.answers, "no answer")
