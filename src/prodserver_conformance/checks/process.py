"""A process without restrictions: it becomes healthy, under an init, not as root."""

from __future__ import annotations

from prodserver_conformance.container import CheckFailed, Container
from prodserver_conformance.environment import Environment
from prodserver_conformance.plugin import Record, check
from prodserver_conformance.programs import command_line

_ORPHANS = 20
_TIMEOUT = 30


@check(
    "comes-up",
    "Read the log: docker run IMAGE NAME. --before release if it waits for migrations, "
    "--network for its database, --env for its variables, --timeout if it is slow.",
)
def check_comes_up(record: Record, environment: Environment, process: str) -> None:
    """Healthy within the timeout; a web process answers from outside."""
    record.add_action("started it, and waited for its HEALTHCHECK")
    container = environment.start_shared(process)
    record.add_observation(f"healthy after {container.age:.1f} s")
    if environment.is_web(process):
        record.add_action("asked for / from another container")
        try:
            record.add_observation(f"/ {environment.request(container, process)}")
        except CheckFailed as error:
            advice = "Listen on all addresses: remove BIND, or set it to 0.0.0.0:8000."
            raise CheckFailed(error.reason, advice) from None


@check(
    "pid-1",
    "Leave the ENTRYPOINT of prodserver-base, which is tini; your own programs go into "
    "/docker-entrypoint.d.",
)
def check_pid_1(record: Record, environment: Environment, process: str) -> None:
    """PID 1 is an init: not the process itself, and it reaps orphans."""
    container = environment.shared(process)
    record.add_action(f"looked at PID 1, and left it {_ORPHANS} orphans")
    first = container.processes()[0]
    program = first.command.split()[0].rpartition("/")[2]
    shown = f"PID 1 is {program}"
    is_own = environment.probe_report(process).get("pid") == first.pid
    record.require(not is_own, f"{shown}, the process itself")
    is_none = program in ("sh", "dash", "bash") or program.startswith("python")
    record.require(not is_none, f"{shown}, which is not an init")
    done = container.exec(*command_line("orphans", str(_ORPHANS)))
    record.require(done.code == 0, f"no orphans could be made: {done.last_lines}")
    container.wait_until(
        lambda: not _zombies(container),
        f"reaped: PID 1 is {program}, and {_ORPHANS} orphans have ended",
        _TIMEOUT,
    )
    record.add_observation(f"{shown}; all orphans reaped")


def _zombies(container: Container) -> list[str]:
    return [p.command for p in container.processes() if p.state == "Z"]


@check("non-root", "Add USER 10001:0 after the last step that needs root.")
def check_non_root(record: Record, environment: Environment, process: str) -> None:
    """The image's USER is a number other than 0, and no process runs as root."""
    user = str(environment.image.config.get("User") or "")
    record.add_action("read USER, and the uid of each process")
    uid = user.partition(":")[0]
    record.require(uid not in ("", "0", "root"), f"USER is {user or 'not set'}: root")
    record.require(uid.isdecimal(), f"USER is {user}; runAsNonRoot cannot check a name")
    container = environment.shared(process)
    # The engine runs the health check as root for a moment.
    container.wait_until(
        lambda: "0" not in _uids(container), "without processes of root", _TIMEOUT
    )
    record.add_observation(
        f"USER {user}; processes of uid {', '.join(_uids(container))}"
    )


def _uids(container: Container) -> list[str]:
    return sorted({str(process.uid) for process in container.processes()})
