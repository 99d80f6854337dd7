"""The processes that the rows look at, started once for all of them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from prodserver_conformance.container import Container, Wrong
from prodserver_conformance.engine import NEVER, Engine
from prodserver_conformance.options import Options
from prodserver_conformance.secrets import Secrets
from prodserver_conformance.visitor import Held, Visitor, Where

#: The image's own HEALTHCHECK, and oftener: it is a yes that is waited for.
_OFTEN = {"interval": 2_000_000_000}
#: What a hardened platform takes from a container; all of it at once is the first
#: try, and each alone where that does not come up.
RESTRICTIONS: dict[str, dict[str, Any]] = {
    "any-uid": {"user": "123456:0"},
    "read-only": {"read_only": True, "tmpfs": ["/tmp"]},  # noqa: S108
    "capabilities": {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]},
}


class Site:
    """
    Starts processes of the image.

    Args:
        engine: Where they run.
        options: What is checked.
        secrets: Those that it is given.
        listed: What ``prodserver --list`` says in it.
    """

    def __init__(
        self, engine: Engine, options: Options, secrets: Secrets, listed: str
    ) -> None:
        self.listed = listed
        self.engine = engine
        self.image = engine.image
        self.options = options
        self.secrets = secrets
        self._running: dict[str, Container | None] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._hardened: dict[str, bool] = {}
        self._prepared: set[str] = set()
        self.visitor = Visitor(engine, options)

    def start(self, process: str, state: str = "plain", **options: Any) -> Container:
        """
        Start a process, and wait until its HEALTHCHECK says yes.

        Raises:
            Wrong: It does not, within the time that the user gives it.
        """
        options.setdefault("healthcheck", NEVER)
        if not (question := self.image.healthcheck):
            seen = "the image has no HEALTHCHECK"
            raise Wrong(seen, 'HEALTHCHECK CMD ["prodserver-probe"]')
        self._prepare(state, **options)
        env = {"PROCESS_NAME": process, **options.pop("env", {})}
        container = self.engine.start(env=env, state=state, **options)

        def is_healthy() -> bool:
            if options["healthcheck"] is NEVER:
                return container.exec(*question).code == 0
            return bool(container.state["Health"]["Status"] == "healthy")

        try:
            container.until(is_healthy, "healthy", self.options.timeout)
        except Wrong:
            container.kill()
            raise
        return container

    def _prepare(self, state: str, **options: Any) -> None:
        """Run what is to run first, once for the containers that share volumes."""
        if state in self._prepared:
            return
        options = {k: v for k, v in options.items() if k not in ("env", "healthcheck")}
        for name in self.options.before:
            done = self.engine.finish(
                env={"PROCESS_NAME": name},
                state=state,
                seconds=self.options.timeout,
                **options,
            )
            if done.code:
                seen = f"--before {name} exits with {done.code}: {done.last_words}"
                raise Wrong(seen)
        self._prepared.add(state)

    def come_up(self, process: str) -> Container:
        """
        Start a process as it is; the other rows look at this container.

        Raises:
            Wrong: It does not come up.
        """
        self._running[process] = None
        container = self.start(process, healthcheck=_OFTEN)
        self._running[process] = container
        return container

    def running(self, process: str) -> Container:
        """Return the container of a process; without one the row is skipped."""
        if process not in self._running:
            with contextlib.suppress(Wrong):
                self.come_up(process)
        if container := self._running[process]:
            return container
        pytest.skip(f"{process} does not come up; see the row comes-up")

    def has_ended(self, process: str) -> None:
        """Let the next row that asks for it have a container of its own."""
        self._running.pop(process, None)

    def restricted(self, name: str, process: str) -> str:
        """
        Start a process with a restriction; return what was seen.

        Raises:
            Wrong: It does not come up.
        """
        self.running(process)
        if process not in self._hardened:
            everything = {k: v for o in RESTRICTIONS.values() for k, v in o.items()}
            self._hardened[process] = False
            with contextlib.suppress(Wrong):
                self.start(process, "hardened", **everything).kill()
                self._hardened[process] = True
        if self._hardened[process]:
            others = " and ".join(other for other in RESTRICTIONS if other != name)
            return f"healthy, together with {others}"
        container = self.start(process, name, **RESTRICTIONS[name])
        seen = f"healthy after {container.age:.1f} s"
        container.kill()
        return seen

    def told(self, process: str) -> dict[str, Any]:
        """Return what ``prodserver-probe --json`` says of it; nothing if it cannot."""
        if process not in self._told:
            done = self.running(process).exec("prodserver-probe", "--json", process)
            try:
                self._told[process] = json.loads(done.output)
            except ValueError:
                self._told[process] = {}
        return self._told[process]

    def is_web(self, process: str) -> bool:
        return self.told(process).get("kind") == "web"

    def request(self, container: Container, process: str) -> str:
        """
        Ask for ``/`` from outside; return what comes of it.

        Raises:
            Wrong: It does not listen there.
        """
        if where := self._where(container, process):
            return self.visitor.request(container, where)
        return "not asked: it does not listen on a port"

    def hold(self, container: Container, process: str) -> Held | str:
        """Begin a request that is over when it is released; else say why not."""
        if where := self._where(container, process):
            return self.visitor.hold(where)
        return "it does not listen on a port"

    def _where(self, container: Container, process: str) -> Where | None:
        for address in self.told(process).get("addresses", []):
            scheme, _, place = str(address).partition("://")
            if scheme == "tcp":
                return Where(container.address, place.rpartition(":")[2])
        return None
