"""
The state file: tells the probe which process is running and where it listens.

The launcher writes ``NAME.state`` to the runtime directory just before it starts the
process, and the file does not change afterwards. The heartbeat and the drain, which
do change, have their own files next to it.

The file belongs to its process until that exits. A second start of the same name
writes ``NAME@PID.state``: it may fail because the port is in use; or it takes over, as
in an upgrade of Gunicorn, and then its file is used once the first process exits.

The format is lines of ``key=value``, and this module imports little more than os:
importing json alone takes half the time that a probe may take.
"""

# ruff: noqa: PTH101, PTH102, PTH105, PTH108, PTH116, PTH123, PTH208, SIM105

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Made by the image, or by systemd's RuntimeDirectory=.
_SYSTEM = "/run/prodserver"
_MEMORY = "/dev/shm"  # noqa: S108
_TEMPORARY = "/tmp"  # noqa: S108
_PROC = "/proc"
_MAX_SIZE = 65536
# Do not follow links, and do not block on a pipe without a writer. Windows lacks both,
# and converts line endings without O_BINARY.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_WRITE_FLAGS = _READ_FLAGS | os.O_WRONLY | os.O_CREAT
_WINDOWS = os.name == "nt"
_WAIT_TIMEOUT = 258  # of a Windows process that runs
_CONDITIONS = ("running", "stopped", "gone", "elsewhere")


class State:
    """
    The data that the probe needs about a process.

    Args:
        name: Its name in the settings.
        kind: ``web`` or ``worker``.
        backend: The dotted path of its backend, for people.
        addresses: As bound: ``tcp://127.0.0.1:8000``, ``tcp://[::1]:8000`` or
            ``unix:///run/web.sock``. The probe uses the first; none if unknown.
        tls: Whether it speaks TLS there.
        host: A Host header that the site accepts.
        path: The path to request.
        max_age: Seconds after which a heartbeat is too old; 0 if it has none.
        pid: The process; this one by default.
        start: Its start time, as the kernel counts it; looked up by default.
        namespace: Where the pid is valid; this boot and PID namespace by default.
    """

    #: The directory it was read from.
    directory = ""
    #: The name of its file without ``.state``; the files next to it share it.
    stem = ""

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        backend: str = "",
        addresses: tuple[str, ...] = (),
        tls: bool = False,
        host: str = "localhost",
        path: str = "/",
        max_age: float = 0,
        pid: int = 0,
        start: str | None = None,
        namespace: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.backend = backend
        self.addresses = addresses
        self.tls = tls
        self.host = host
        self.path = path
        self.max_age = max_age
        self.pid = pid or os.getpid()
        self.start = _status_and_start(self.pid)[1] if start is None else start
        self.namespace = _namespace() if namespace is None else namespace

    def condition(self) -> str:
        """
        Return ``running``, ``stopped`` (SIGSTOP), ``gone`` or ``elsewhere``.

        The pid is not enough: the next container uses the same ones, and so does
        another container that shares the directory.
        """
        if self.namespace != _namespace():
            return "elsewhere"
        status, start = _status_and_start(self.pid)
        if start != self.start or status in "ZX":
            return "gone"
        return "stopped" if status == "T" else "running"

    def exists(self) -> bool:
        """Return whether the process is running or stopped, here."""
        return self.condition() in ("running", "stopped")

    def draining(self) -> bool:
        """Return whether ``NAME.draining`` exists and is about this process."""
        # Compare the content, not the date: a clock may be set back between two runs.
        return self.read_sibling("draining") == self.identity().encode()

    def drain(self) -> None:
        """
        Write ``NAME.draining``, which marks this process as draining.

        Raises:
            OSError: It cannot be written.
        """
        unfinished = f"{self.directory}/.{self.stem}.draining.{os.getpid()}"
        # Readable by everyone, unlike the state, so that every user sees the drain.
        _create(unfinished, self.identity().encode(), mode=0o644)
        os.replace(unfinished, f"{self.directory}/{self.stem}.draining")

    def identity(self) -> str:
        """Return an ID that no other process has, even a later one with this pid."""
        return f"{self.pid}/{self.start}/{self.namespace}"

    def read_sibling(self, suffix: str) -> bytes:
        """Return the content of ``NAME.suffix``; b"" if absent or not trustworthy."""
        content, owner = _read(f"{self.directory}/{self.stem}.{suffix}")
        return content if self._is_owner(owner) else b""

    def _is_owner(self, user: int) -> bool:
        """
        Return whether a file owned by that user can be about this process.

        Only root can read the files of other users. It must not trust a file that
        someone else put next to the file of a process.
        """
        return user in (0, _user()) or user == _user_of(self.pid)

    def lines(self) -> list[tuple[str, str]]:
        """Return keys and values; the key of a list is repeated for each item."""
        return [
            ("name", self.name),
            ("kind", self.kind),
            ("pid", str(self.pid)),
            ("start", self.start),
            ("namespace", self.namespace),
            ("backend", self.backend),
            *(("address", address) for address in self.addresses),
            ("tls", str(int(self.tls))),
            ("host", self.host),
            ("path", self.path),
            ("max_age", str(self.max_age)),
        ]


def is_name(text: str) -> bool:
    """Return whether a string can be the name of a process, and of a file."""
    plain = text.translate(dict.fromkeys(map(ord, "._-")))
    return text.isascii() and plain.isalnum() and text[0].isalnum() and len(text) <= 100


def write(state: State) -> str | None:
    """
    Write the state to a directory in which the probe finds it.

    Returns:
        The path of the file; None if no directory is writable.

    Raises:
        ValueError: The name is invalid, or a value is not one line of text.
    """
    if not is_name(state.name):
        raise ValueError(f"{state.name!r} is not a valid process name.")
    for key, value in state.lines():
        if not value.isprintable():
            raise ValueError(f"{key} is {value!r}, which is not one line of text.")
    text = "".join(f"{key}={value}\n" for key, value in state.lines())
    for directory in directories():
        if not _is_usable(directory, make=True):
            continue
        _remove_those_that_ended(state.name, directory)
        others = [each for each in _of_name(state.name, directory) if each.exists()]
        is_first = all(other.pid == state.pid for other in others)
        stem = state.name if is_first else f"{state.name}@{state.pid}"
        file = f"{directory}/{stem}.state"
        # Renamed when complete: a probe sees all of it or nothing.
        unfinished = f"{directory}/.{state.name}.{os.getpid()}"
        for _ in range(2):
            try:
                _create(unfinished, text.encode())
                os.replace(unfinished, file)
                return file
            except OSError:
                # The file of an earlier start is now outdated, and may take up the
                # space that this one needs.
                _remove(file)
    return None


def take_over(file: str) -> str | None:
    """
    Write the state of the process that this one replaces for this process.

    Returns:
        The path of the new file; None if it cannot be written.
    """
    state = read(file)
    if state is None:
        return None
    state.pid = os.getpid()
    state.start = _status_and_start(state.pid)[1]
    return write(state)


def hand_over(file: str, user: int) -> None:
    """Give a process that changes its user access to its state and heartbeat."""
    directory, _, name = file.rpartition("/")
    heartbeat = f"{directory}/{name.removesuffix('.state')}.heartbeat"
    try:
        if directory.endswith(f"/{_own_name()}"):
            os.chmod(directory, 0o711)  # noqa: S103
        for each in (file, heartbeat):
            os.chown(each, user, -1)
    except OSError:
        pass  # without this right it cannot change its user either


def read(file: str) -> State | None:
    """Return the state in a file; None if absent, invalid or not trustworthy."""
    content, owner = _read(file)
    values: dict[str, list[str]] = {}
    for line in content.decode(errors="replace").split("\n"):
        key, _, value = line.partition("=")
        # The probe sends some of them, so none may contain another header or request.
        if not value.isprintable():
            return None
        values.setdefault(key, []).append(value)
    try:
        state = State(
            values["name"][0],
            values["kind"][0],
            backend=values["backend"][0],
            addresses=tuple(values.get("address", ())),
            tls=values["tls"][0] == "1",
            host=values["host"][0],
            path=values["path"][0],
            max_age=float(values["max_age"][0]),
            pid=int(values["pid"][0]),
            start=values["start"][0],
            namespace=values["namespace"][0],
        )
    except (KeyError, ValueError):
        return None
    state.directory, _, file_name = file.rpartition("/")
    state.stem = file_name.removesuffix(".state")
    stems = (state.name, f"{state.name}@{state.pid}")
    is_sent = " " not in state.path + state.host
    is_one = state.stem in stems and state._is_owner(owner) and is_sent
    return state if is_one else None


def find(name: str = "") -> tuple[State | None, str]:
    """
    Return the state of the process to check; or None, and the reason.

    Without a name, it is the process ``PROCESS_NAME`` if that was started here, or the
    only running process.
    """
    usable = [directory for directory in directories() if _is_usable(directory)]
    wanted = name or os.environ.get("PROCESS_NAME", "")
    named = [state for directory in usable for state in _of_name(wanted, directory)]
    named.sort(key=_rank)
    if named and (name or named[0].condition() != "elsewhere"):
        return named[0], ""
    searched = f"looked in {', '.join(directories())}"
    if name:
        return None, f"there is no state file of {name}; {searched}"
    files = [file for directory in usable for file in _files(directory)]
    running: dict[str, State] = {}
    for state in sorted(_read_all(files), key=_rank):
        if state.exists():
            running.setdefault(state.name, state)
    if len(running) == 1:
        return running.popitem()[1], ""
    if not running:
        return None, f"there is no state file of a running process; {searched}"
    names = ", ".join(sorted(running))
    return None, f"several processes are running, name one of them: {names}"


def _rank(state: State) -> tuple[bool, bool, int, int]:
    """Sort running processes first, and the one that started first before others."""
    start = int(state.start) if state.start.isdecimal() else 0
    condition = state.condition()
    is_later = state.stem != state.name
    has_ended = condition in ("gone", "elsewhere")
    return has_ended, is_later, start, _CONDITIONS.index(condition)


def _of_name(name: str, directory: str) -> list[State]:
    """Return the states of a name: that of its process, and those of later starts."""
    found = _read_all([f"{directory}/{name}.state"])
    later = (file for file in _files(directory) if f"/{name}@" in file)
    return found + [state for state in _read_all(list(later)) if state.name == name]


def _remove_those_that_ended(name: str, directory: str) -> None:
    """Remove the files of later starts of a name if their processes have exited."""
    for state in _of_name(name, directory):
        if state.stem != name and not state.exists():
            for suffix in ("state", "heartbeat", "draining"):
                _remove(f"{directory}/{state.stem}.{suffix}")


def directories() -> list[str]:
    """Return the directories that the file may be in, in order of preference."""
    # Without tempfile, which is slow to import.
    temporary = os.environ.get("TEMP" if _WINDOWS else "TMPDIR", "")
    shared = [_MEMORY, temporary, _TEMPORARY]
    own = [f"{parent.rstrip('/')}/{_own_name()}" for parent in shared if parent]
    given = os.environ.get("PRODSERVER_RUNTIME_DIR", "").rstrip("/")
    if given and _is_usable(given) and os.access(given, os.W_OK):
        return [given]  # files elsewhere belong to other processes
    return list(dict.fromkeys([*filter(None, [given]), _SYSTEM, *own]))


def runtime_directory() -> str | None:
    """Return the directory that this process can write to, created if necessary."""
    for directory in directories():
        if _is_usable(directory, make=True):
            try:
                _create(f"{directory}/.writable.{os.getpid()}", b"")
                os.unlink(f"{directory}/.writable.{os.getpid()}")
            except OSError:
                continue
            return directory
    return None


def write_file(name: str, content: bytes) -> str | None:
    """
    Write a file to the runtime directory.

    Returns:
        Its path; None if no directory is writable or has space.
    """
    directory = runtime_directory()
    if directory is None:
        return None
    file = f"{directory}/{name}"
    unfinished = f"{directory}/.{name}.{os.getpid()}"
    try:
        _create(unfinished, content)
        os.replace(unfinished, file)
    except OSError:
        _remove(unfinished)
        return None
    return file


def read_file(name: str, max_size: int) -> bytes:
    """Return the content of a file in the runtime directory; b"" if there is none."""
    for directory in directories():
        content, _ = _read(f"{directory}/{name}", max_size)
        if content and _is_usable(directory):
            return content
    return b""


def stat_fields(pid: int) -> list[str]:
    """
    Return the fields of ``/proc/PID/stat`` from the third on: state, ppid, ...

    Raises:
        OSError: There is no such process, or no /proc.
    """
    with open(f"{_PROC}/{pid}/stat", "rb") as file:
        # The second field, the name, is in parentheses and may contain anything.
        return file.read().rpartition(b")")[2].decode("ascii", "replace").split()


def _is_usable(directory: str, *, make: bool = False) -> bool:
    if make and directory != _SYSTEM:
        try:
            os.mkdir(directory, 0o700)
        except OSError:
            pass  # it exists, or cannot be created
    try:
        if not directory.endswith(f"/{_own_name()}"):
            return stat.S_ISDIR(os.stat(directory).st_mode)
        # Its parent is writable by everyone, so another user may have created it.
        status = os.lstat(directory)
    except OSError:
        return False
    # On Windows, TEMP is in the user's own directory.
    is_private = _WINDOWS or (
        status.st_uid == os.geteuid() and not status.st_mode & 0o022
    )
    return stat.S_ISDIR(status.st_mode) and is_private


def _own_name() -> str:
    # Containers that share a /dev/shm need separate directories, because their
    # processes may have the same names.
    inode = _pid_namespace()
    user = "" if _WINDOWS else f"-{os.geteuid()}"
    return f"prodserver{user}" + (f"-{inode}" if inode else "")


def _create(file: str, content: bytes, mode: int = 0o600) -> None:
    _remove(file)  # left by a start that was cut short
    descriptor = os.open(file, _WRITE_FLAGS | os.O_EXCL, mode)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        _remove(file)
        error.filename = file  # os.write() does not know it
        raise
    finally:
        os.close(descriptor)


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except OSError:
        pass  # it does not exist, or is not ours


def _read(file: str, max_size: int = _MAX_SIZE) -> tuple[bytes, int]:
    """Return the content of a file and its owner; b"" if it is missing or not ours."""
    try:
        descriptor = os.open(file, _READ_FLAGS)
        try:
            status = os.fstat(descriptor)
            content = os.read(descriptor, max_size)
        finally:
            os.close(descriptor)
    except OSError:
        return b"", 0
    if _user() and status.st_uid not in (_user(), 0):
        return b"", 0
    return content, status.st_uid


def _user() -> int:
    return 0 if _WINDOWS else os.geteuid()


def _user_of(pid: int) -> int:
    """Return the user of a process; -1 if unknown."""
    # Not the owner of /proc/PID, which is root once a process has changed its user.
    try:
        with open(f"{_PROC}/{pid}/status", "rb") as file:
            users = file.read().partition(b"\nUid:")[2].split()
        return int(users[1])
    except (OSError, IndexError, ValueError):
        return -1


def _files(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []  # another user's
    return [f"{directory}/{name}" for name in names if name.endswith(".state")]


def _read_all(files: list[str]) -> list[State]:
    return [state for state in map(read, files) if state]


def _status_and_start(pid: int) -> tuple[str, str]:
    """Return the status letter of a process, X if it is gone, and its start time."""
    try:
        fields = stat_fields(pid)
        return fields[0], fields[19]
    except OSError:
        pass  # it is gone, or the machine has no /proc
    if _WINDOWS:  # where kill(pid, 0) would send a Ctrl-C
        return ("R" if _runs_on_windows(pid) else "X"), ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "X", ""
    except OSError:
        pass  # it exists, and belongs to another user
    return "R", ""


def _runs_on_windows(pid: int) -> bool:
    import _winapi

    windows: Any = _winapi
    try:
        process = windows.OpenProcess(windows.SYNCHRONIZE, False, pid)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's
    try:
        return bool(windows.WaitForSingleObject(process, 0) == _WAIT_TIMEOUT)
    finally:
        windows.CloseHandle(process)


def _namespace() -> str:
    try:
        with open(f"{_PROC}/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
    except OSError:
        boot = ""
    return f"{boot}/{_pid_namespace()}"


def _pid_namespace() -> str:
    try:
        return str(os.stat(f"{_PROC}/self/ns/pid").st_ino)
    except OSError:
        return ""
