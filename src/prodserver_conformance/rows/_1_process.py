"""A process as it is: comes up, below an init, as nobody in particular."""

from __future__ import annotations

from prodserver_conformance import inside
from prodserver_conformance.container import Container, Wrong
from prodserver_conformance.plugin import Row, named
from prodserver_conformance.site import Site

_ORPHANS = 20
_PATIENCE = 30


@named(
    "comes-up",
    "Read the log: docker run IMAGE NAME. --before release if it waits for migrations, "
    "--network for its database, --env for its variables, --timeout if it is slow.",
)
def row_comes_up(row: Row, site: Site, process: str) -> None:
    """Healthy within the timeout; a web process answers from outside."""
    row.do("started it, and waited for its HEALTHCHECK")
    container = site.come_up(process)
    row.see(f"healthy after {container.age:.1f} s")
    if site.is_web(process):
        row.do("asked for / from another container")
        try:
            row.see(f"/ {site.request(container, process)}")
        except Wrong as error:
            advice = "Let it listen on all addresses: without BIND, or 0.0.0.0:8000."
            raise Wrong(error.seen, advice) from None


@named(
    "pid-1",
    "Leave the ENTRYPOINT of prodserver-base, which is tini; your own programs go into "
    "/docker-entrypoint.d.",
)
def row_pid_1(row: Row, site: Site, process: str) -> None:
    """PID 1 is an init: not the process itself, and it reaps orphans."""
    container = site.running(process)
    row.do(f"looked at PID 1, and left it {_ORPHANS} orphans")
    first = container.processes()[0]
    program = first.command.split()[0].rpartition("/")[2]
    shown = f"PID 1 is {program}"
    is_own = site.told(process).get("pid") == first.pid
    row.require(not is_own, f"{shown}, the process itself")
    is_none = program in ("sh", "dash", "bash") or program.startswith("python")
    row.require(not is_none, f"{shown}, which is no init")
    done = container.exec(*inside.program("orphans", str(_ORPHANS)))
    row.require(done.code == 0, f"no orphans could be made: {done.last_words}")
    container.until(
        lambda: not _zombies(container),
        f"reaped: PID 1 is {program}, and {_ORPHANS} orphans have ended",
        _PATIENCE,
    )
    row.see(f"{shown}; all orphans reaped")


def _zombies(container: Container) -> list[str]:
    return [p.command for p in container.processes() if p.state == "Z"]


@named("non-root", "Write USER 10001:0 behind the last step that needs root.")
def row_non_root(row: Row, site: Site, process: str) -> None:
    """The image's USER is a number, not 0; and so is every process's."""
    user = str(site.image.config.get("User") or "")
    row.do("read USER, and the uid of each process")
    uid = user.partition(":")[0]
    row.require(uid not in ("", "0", "root"), f"USER is {user or 'not set'}: root")
    row.require(uid.isdecimal(), f"USER is {user}; runAsNonRoot cannot check a name")
    container = site.running(process)
    # What the engine starts in it, a probe, is root's for a moment.
    container.until(
        lambda: "0" not in _uids(container), "without processes of root's", _PATIENCE
    )
    row.see(f"USER {user}; processes of uid {', '.join(_uids(container))}")


def _uids(container: Container) -> list[str]:
    return sorted({str(process.uid) for process in container.processes()})
