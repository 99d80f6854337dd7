"""Inspect open file descriptors, and find those that were inherited."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

if sys.platform != "win32":
    import fcntl

_OWN = Path("/proc/self/fd")
# The first descriptor that systemd, or a server that upgrades itself, passes on.
_FIRST_LISTENER = 3
# Files in memory, such as multiprocessing's arenas, are meant to be shared.
_IN_MEMORY = ("/dev/shm/", "/memfd:")  # noqa: S108


class Descriptor(NamedTuple):
    """An open descriptor; one opened later with the same number is different."""

    number: int
    device: int
    inode: int


def opened() -> list[Descriptor]:
    """Return the open descriptors; none if this is not Linux."""
    return _opened(_OWN)


def inherited() -> list[Descriptor]:
    """
    Return the open descriptors that this process inherited.

    The application may have opened others by now: ``manage.py`` sets up Django before
    it runs a command, and C libraries may not open files close-on-exec.
    """
    known = {0, 1, 2, *_announced()}
    parents = {each[1:] for each in _opened(Path("/proc", str(os.getppid()), "fd"))}
    everything = opened()
    # A new descriptor gets the lowest free number; only shells skip some.
    numbers = {each.number for each in everything}
    lowest = next(number for number in range(len(numbers) + 1) if number not in numbers)
    return [
        each
        for each in everything
        if each.number in known
        or (
            _survives_exec(each.number)
            and (
                each[1:] in parents
                or each.number > lowest
                or _is_listening(each.number)
            )
        )
    ]


def close_on_exec(inherited: Collection[Descriptor]) -> None:
    """Close all other descriptors on exec, so that the new program gets only these."""
    for descriptor in opened():
        if descriptor not in inherited:
            with contextlib.suppress(OSError):
                os.set_inheritable(descriptor.number, False)


def describe_unsafe(descriptor: Descriptor) -> str:
    """Describe a descriptor that two processes must not share; "" for others."""
    number = descriptor.number
    try:
        mode = os.fstat(number).st_mode
        # A file opened for appending is a log. After one worker has rotated it, the
        # others write to the old file; that is so with the native command too.
        flags = fcntl.fcntl(number, fcntl.F_GETFL)
        if stat.S_ISSOCK(mode):
            return _describe_socket(number)
        if not stat.S_ISREG(mode) or flags & os.O_APPEND:
            return ""
        target = os.readlink(f"{_OWN}/{number}")  # noqa: PTH115
        # A library may open itself to map more of its code, as libffi 3.5 (Debian 14)
        # does for ctypes.
        is_read_only = flags & os.O_ACCMODE == os.O_RDONLY
        if is_read_only and _is_mapped_as_code(target):
            return ""
        return "" if target.startswith(_IN_MEMORY) else f"the file {target}"
    except OSError:
        pass  # closed by now
    return ""


def _opened(directory: Path) -> list[Descriptor]:
    try:
        names = sorted(int(name) for name in os.listdir(directory))  # noqa: PTH208
    except OSError:
        return []
    found = []
    for number in names:
        # The descriptor of the listing itself is closed by now.
        with contextlib.suppress(OSError):
            status = os.stat(f"{directory}/{number}")  # noqa: PTH116
            found.append(Descriptor(number, status.st_dev, status.st_ino))
    return found


def _announced() -> range:
    """Return the numbers of the sockets that systemd passes."""
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        return range(0)
    return range(_FIRST_LISTENER, _FIRST_LISTENER + int(count))


def _survives_exec(number: int) -> bool:
    try:
        return not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False


def _is_listening(number: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False  # not a socket


def _is_mapped_as_code(file: str) -> bool:
    """Tell whether this process runs code from the file: a program or a library."""
    with open("/proc/self/maps", errors="replace") as maps:  # noqa: PTH123
        for line in maps:
            _, mode, _, _, _, *mapped = line.rstrip("\n").split(maxsplit=5)
            if "x" in mode and mapped == [file]:
                return True
    return False


def _describe_socket(number: int) -> str:
    unknown = f"a socket (file descriptor {number})"
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return f"a socket that listens on {_address(copy.getsockname())}"
            peer = _address(copy.getpeername())
    except OSError:
        return unknown  # not connected
    return f"a connection to {peer}" if peer else unknown


def _address(name: object) -> str:
    """Return an address as a string; "" for one end of a socket pair."""
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
