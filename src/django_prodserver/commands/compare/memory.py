"""The memory of a process and of everything that it has started."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_MIB = 2**20


def kind() -> str:
    """
    Return which memory ``of_session`` counts.

    PSS divides each shared page by the processes that share it. RSS counts it once
    for each, so that preloaded workers seem larger than they are.
    """
    return "PSS" if Path("/proc/self/smaps_rollup").exists() else "RSS"


def of_session(leader: int) -> float:
    """Return the memory of all processes of a session, in MiB."""
    if sys.platform.startswith("linux"):
        pids = list(_session(leader))
        return sum(_pss(pid) if kind() == "PSS" else _rss(pid) for pid in pids) / _MIB
    listed = subprocess.run(
        ["ps", "-axo", "pgid=,rss="],  # noqa: S607  # the system's
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return sum(int(row[1]) for row in rows if row[:1] == [str(leader)]) / 1024


def session_exists(leader: int) -> bool:
    """Tell whether a process of the session is still there."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # macOS, for a group of zombies
    return True


def _session(leader: int) -> Iterator[int]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            with contextlib.suppress(OSError):
                # Behind the name, which may contain anything: state, parent, group,
                # session.
                _, _, rest = (directory / "stat").read_text().rpartition(")")
                if int(rest.split()[3]) == leader:
                    yield int(directory.name)


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _rss(pid)


def _rss(pid: int) -> int:
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
