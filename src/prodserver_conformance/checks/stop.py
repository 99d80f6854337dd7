"""The stop: requests in flight are finished, and a proxy has time to notice."""

from __future__ import annotations

import time

import pytest

from prodserver_conformance.container import CheckFailed
from prodserver_conformance.environment import Environment
from prodserver_conformance.http_client import PendingRequest
from prodserver_conformance.plugin import Record, check

_DRAIN = 120


@check(
    "drain",
    "Leave the ENTRYPOINT of prodserver-base, which waits for DRAIN_DELAY at SIGTERM; "
    "a script of your own ends with exec.",
)
def check_drain(record: Record, environment: Environment, process: str) -> None:
    """With DRAIN_DELAY, a stop first makes readiness fail while it keeps serving."""
    environment.shared(process)
    if not environment.is_web(process):
        pytest.skip("it is not a web process: nothing is sent to it")
    container = environment.start(process, env={"DRAIN_DELAY": str(_DRAIN)})
    # Its HEALTHCHECK may say yes before it accepts connections.
    environment.request(container, process)
    record.add_action(f"{environment.image.stop_signal} with DRAIN_DELAY={_DRAIN}")
    container.signal(environment.image.stop_signal)

    def is_not_ready() -> bool:
        done = container.exec("prodserver-probe", "--ready", process)
        return done.code == 1

    container.wait_until(is_not_ready, "draining after the signal", _DRAIN / 2)
    answer = environment.request(container, process)
    record.add_observation(f"not ready, and / {answer}")
    record.add_action("a second signal")
    container.signal(environment.image.stop_signal)
    code = container.wait_for_exit(environment.options.grace)
    record.require(code == 0, f"not ready, keeps serving, and exits with {code}")
    record.add_observation(f"exit code {code}")


@check(
    "stop",
    "SIGTERM has to reach the process: keep the ENTRYPOINT and the STOPSIGNAL of "
    "prodserver-base, and end your own script with exec. For requests that take longer "
    "than the grace, set GRACEFUL_TIMEOUT to less than it.",
)
def check_stop(record: Record, environment: Environment, process: str) -> None:
    """A stop finishes the request in progress and exits with 0 within the grace."""
    container = environment.shared(process)
    signal, grace = environment.image.stop_signal, environment.options.grace
    record.add_action(signal)
    pending = None
    if environment.is_web(process):
        pending = environment.hold_request(container, process)
    if isinstance(pending, PendingRequest):
        record.add_action(f"with a request for {pending.path} in flight")
    environment.forget_shared(process)
    stopped_at = time.monotonic()
    container.signal(signal)
    answer = ""
    if isinstance(pending, PendingRequest):
        # Time enough for a server to drop the request, if it does.
        time.sleep(1)
        answer = environment.http_client.release(pending)
    try:
        code = container.wait_for_exit(grace)
    except CheckFailed as error:
        container.kill()
        raise CheckFailed(f"{answer} {error.reason}".strip()) from None
    took = f"exit code {code} after {time.monotonic() - stopped_at:.1f} s"
    seen = ", ".join(filter(None, [answer, took]))
    record.require(not answer or answer.startswith("answered"), seen)
    record.require(code == 0, seen)
    if isinstance(pending, str):
        pytest.skip(f"{seen}; but no request was in flight: {pending}")
    record.add_observation(seen)
