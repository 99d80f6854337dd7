"""The processes under check, most of them started once for several checks."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from prodserver_conformance.container import CheckFailed, Container
from prodserver_conformance.engine import NO_HEALTHCHECK, Engine
from prodserver_conformance.http_client import (
    Address,
    HTTPClient,
    PendingRequest,
    Response,
)
from prodserver_conformance.options import Options
from prodserver_conformance.secrets import Secrets

#: The image's own HEALTHCHECK, but every 2 s, so that it passes sooner.
_FREQUENT_HEALTHCHECK = {"interval": 2_000_000_000}
#: The restrictions of hardened platforms. All of them are tried together first, and
#: each one alone only if the process does not come up.
RESTRICTIONS: dict[str, dict[str, Any]] = {
    "any-uid": {"user": "123456:0"},
    "read-only": {"read_only": True, "tmpfs": ["/tmp"]},  # noqa: S108
    "capabilities": {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]},
}


class Environment:
    """
    Start processes of the image.

    Args:
        engine: Starts the containers.
        options: The options of the run.
        secrets: The secrets that the containers are given.
        process_list: What ``prodserver --list`` prints in the image.
    """

    def __init__(
        self, engine: Engine, options: Options, secrets: Secrets, process_list: str
    ) -> None:
        self.process_list = process_list
        self.engine = engine
        self.image = engine.image
        self.options = options
        self.secrets = secrets
        self.http_client = HTTPClient(engine, options)
        self._shared: dict[str, Container | None] = {}
        self._probe_reports: dict[str, dict[str, Any]] = {}
        self._with_log: dict[tuple[str, str], Container] = {}
        self._starts_restricted: dict[str, bool] = {}
        self._prepared_states: set[str] = set()

    def start(self, process: str, state: str = "plain", **options: Any) -> Container:
        """
        Start a process, and wait until its HEALTHCHECK says yes.

        Args:
            process: Its name.
            state: Names the volumes that the container shares with others.
            options: As for ``Engine.start``.

        Raises:
            CheckFailed: It does not within ``--timeout``.
        """
        options.setdefault("healthcheck", NO_HEALTHCHECK)
        if not (healthcheck := self.image.healthcheck):
            reason = "the image has no HEALTHCHECK"
            raise CheckFailed(reason, 'HEALTHCHECK CMD ["prodserver-probe"]')
        self._run_before(state, **options)
        env = {"PROCESS_NAME": process, **options.pop("env", {})}
        container = self.engine.start(env=env, state=state, **options)

        def is_healthy() -> bool:
            if options["healthcheck"] is NO_HEALTHCHECK:
                return container.exec(*healthcheck).code == 0
            return bool(container.state["Health"]["Status"] == "healthy")

        try:
            container.wait_until(is_healthy, "healthy", self.options.timeout)
        except CheckFailed:
            container.kill()
            raise
        return container

    def _run_before(self, state: str, **options: Any) -> None:
        """Run the processes of ``--before``, once for all containers of a state."""
        if state in self._prepared_states:
            return
        options = {k: v for k, v in options.items() if k not in ("env", "healthcheck")}
        for name in self.options.before:
            done = self.engine.run_to_completion(
                env={"PROCESS_NAME": name},
                state=state,
                seconds=self.options.timeout,
                **options,
            )
            if done.code:
                reason = f"--before {name} exits with {done.code}: {done.last_lines}"
                raise CheckFailed(reason)
        self._prepared_states.add(state)

    def start_shared(self, process: str) -> Container:
        """
        Start the container of a process that most checks look at.

        Raises:
            CheckFailed: It does not come up.
        """
        self._shared[process] = None
        container = self.start(process, healthcheck=_FREQUENT_HEALTHCHECK)
        self._shared[process] = container
        return container

    def shared(self, process: str) -> Container:
        """Return the shared container of a process; skip the check if there is none."""
        if process not in self._shared:
            with contextlib.suppress(CheckFailed):
                self.start_shared(process)
        if container := self._shared[process]:
            return container
        pytest.skip(f"{process} does not become healthy; see the row comes-up")

    def forget_shared(self, process: str) -> None:
        """Let the next check start a new shared container."""
        self._shared.pop(process, None)

    def start_with_log(self, log_format: str, process: str) -> Container:
        """
        Start a web process with a format of the log, once for all checks.

        Raises:
            CheckFailed: It does not come up, or cannot be reached.
        """
        key = (log_format, process)
        if key not in self._with_log:
            env = {"PRODSERVER_LOG_FORMAT": log_format}
            container = self.start(process, env=env)
            # Its HEALTHCHECK may say yes before it accepts connections.
            self.request(container, process)
            self._with_log[key] = container
        return self._with_log[key]

    def start_restricted(self, name: str, process: str) -> str:
        """
        Start a process with one of ``RESTRICTIONS``; return what was observed.

        Raises:
            CheckFailed: It does not come up.
        """
        self.shared(process)
        if process not in self._starts_restricted:
            self._starts_restricted[process] = self._starts_with_all(process)
        if self._starts_restricted[process]:
            others = " and ".join(other for other in RESTRICTIONS if other != name)
            return f"healthy, together with {others}"
        container = self.start(process, name, **RESTRICTIONS[name])
        observation = f"healthy after {container.age:.1f} s"
        container.kill()
        return observation

    def _starts_with_all(self, process: str) -> bool:
        """Start a process with all restrictions; return whether it comes up."""
        options: dict[str, Any] = {}
        for restriction in RESTRICTIONS.values():
            options |= restriction
        try:
            self.start(process, "hardened", **options).kill()
        except CheckFailed:
            return False
        return True

    def probe_report(self, process: str) -> dict[str, Any]:
        """Return the output of ``prodserver-probe --json``; {} if it is not JSON."""
        if process not in self._probe_reports:
            done = self.shared(process).exec("prodserver-probe", "--json", process)
            try:
                self._probe_reports[process] = json.loads(done.output)
            except ValueError:
                self._probe_reports[process] = {}
        return self._probe_reports[process]

    def is_web(self, process: str) -> bool:
        """Tell whether a process serves requests."""
        return self.probe_report(process).get("kind") == "web"

    def request(self, container: Container, process: str) -> str:
        """
        Request ``/`` from another container; return the answer.

        Raises:
            CheckFailed: Nothing listens on the address.
        """
        if address := self._address(container, process):
            return self.http_client.request(container, address)
        return "not asked: it does not listen on a port"

    def get(
        self,
        container: Container,
        process: str,
        path: str,
        *headers: str,
        local: bool = False,
    ) -> Response | str:
        """
        Request a path; return the response, or why there is none.

        Args:
            container: Where the process runs.
            process: Its name.
            path: The path, not yet encoded.
            headers: More headers, "Name: value".
            local: Whether the request comes from the container itself.
        """
        if not (address := self._address(container, process)):
            return "it does not listen on a port"
        client = self.http_client.container
        if local:
            client, address = container, address._replace(host="127.0.0.1")
        return self.http_client.get(client, address, path, *headers)

    def trusted_proxies(self, process: str) -> list[str]:
        """Return ``TRUSTED_PROXIES`` of a process, from what --dry-run shows."""
        done = self.shared(process).exec("prodserver", "--dry-run", process)
        found = re.search(r'"trusted_proxies":(\[[^]]*\])', done.output)
        return [str(entry) for entry in json.loads(found[1])] if found else []

    def hold_request(self, container: Container, process: str) -> PendingRequest | str:
        """Begin a request that lasts until it is released; else return why not."""
        if address := self._address(container, process):
            return self.http_client.hold(address)
        return "it does not listen on a port"

    def _address(self, container: Container, process: str) -> Address | None:
        for address in self.probe_report(process).get("addresses", []):
            scheme, _, rest = str(address).partition("://")
            if scheme == "tcp":
                return Address(container.address, rest.rpartition(":")[2])
        return None


def is_trusted(address: str, trusted: Sequence[str]) -> bool:
    """Tell whether an address is one of ``TRUSTED_PROXIES``."""
    client = ipaddress.ip_address(address)
    return "*" in trusted or any(
        client in ipaddress.ip_network(entry, strict=False) for entry in trusted
    )
