"""Stops: nothing that was begun is lost, and a proxy has time to look elsewhere."""

from __future__ import annotations

import time

import pytest

from prodserver_conformance.container import Wrong
from prodserver_conformance.plugin import Row, named
from prodserver_conformance.site import Site
from prodserver_conformance.visitor import Held

_DRAIN = 120


@named(
    "drain",
    "Leave the ENTRYPOINT of prodserver-base, which waits for DRAIN_DELAY at SIGTERM; "
    "a script of your own ends with exec.",
)
def row_drain(row: Row, site: Site, process: str) -> None:
    """With DRAIN_DELAY a stop first makes readiness fail, and it serves on."""
    site.running(process)
    if not site.is_web(process):
        pytest.skip("it is no web process: nothing is sent to it")
    container = site.start(process, env={"DRAIN_DELAY": str(_DRAIN)})
    site.request(container, process)  # it may be healthy without being up
    row.do(f"{site.image.stop_signal} with DRAIN_DELAY={_DRAIN}")
    container.signal(site.image.stop_signal)

    def is_not_ready() -> bool:
        done = container.exec("prodserver-probe", "--ready", process)
        return done.code == 1

    container.until(is_not_ready, "draining after the signal", _DRAIN / 2)
    answer = site.request(container, process)
    row.see(f"not ready, and / {answer}")
    row.do("a second signal")
    container.signal(site.image.stop_signal)
    code = container.exits(site.options.grace)
    row.require(code == 0, f"not ready, serves on, and exits with {code}")
    row.see(f"exit code {code}")


@named(
    "stop",
    "SIGTERM has to reach the process: leave the ENTRYPOINT and the STOPSIGNAL of "
    "prodserver-base, and let a script of your own end with exec. What takes longer "
    "than the grace needs a GRACEFUL_TIMEOUT below it.",
)
def row_stop(row: Row, site: Site, process: str) -> None:
    """A stop finishes the request in flight, and exits with 0 within the grace."""
    container = site.running(process)
    signal, grace = site.image.stop_signal, site.options.grace
    row.do(f"{signal}")
    held = site.hold(container, process) if site.is_web(process) else None
    if isinstance(held, Held):
        row.do(f"with a request for {held.path} in flight")
    site.has_ended(process)
    began = time.monotonic()
    container.signal(signal)
    answer = ""
    if isinstance(held, Held):
        # Time for a server that would drop it to do so.
        time.sleep(1)
        answer = site.visitor.release(held)
    try:
        code = container.exits(grace)
    except Wrong as error:
        container.kill()
        raise Wrong(f"{answer} {error.seen}".strip()) from None
    took = f"exit code {code} after {time.monotonic() - began:.1f} s"
    seen = ", ".join(filter(None, [answer, took]))
    row.require(not answer or answer.startswith("answered"), seen)
    row.require(code == 0, seen)
    if isinstance(held, str):
        pytest.skip(f"{seen}; but no request was in flight: {held}")
    row.see(seen)
