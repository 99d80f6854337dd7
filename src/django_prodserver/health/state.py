"""
The runtime folder, and the small file in it that tells the probe what runs.

The launcher writes ``NAME.state`` as it becomes the process, and nobody writes it
again. What changes later, a heartbeat or a drain, is a file of its own beside it.
It holds lines of ``key=value``, and nothing but os is imported here, because json
alone takes half as long as a whole probe may.
"""

# ruff: noqa: PTH102, PTH104, PTH108, PTH116, PTH123, PTH208, SIM105

import errno
import os
import stat

# Made by the image, or by systemd's RuntimeDirectory=.
_SYSTEM = "/run/prodserver"
_MEMORY = "/dev/shm"  # noqa: S108
_TEMPORARY = "/tmp"  # noqa: S108
_PROC = "/proc"
_LIMIT = 65536
_CONDITIONS = ("running", "stopped", "gone", "elsewhere")


class State:
    """
    What the probe must know of a process.

    Args:
        name: Its name in the settings.
        kind: ``web`` or ``worker``.
        backend: The dotted path of its backend, for people to read.
        addresses: As bound: ``tcp://127.0.0.1:8000``, ``tcp://[::1]:8000`` or
            ``unix:///run/web.sock``. The first is asked; none if it is not known.
        tls: Whether it speaks TLS there.
        host: The Host header that the site answers to.
        path: What to ask for.
        headers: More headers, such as ``X-Forwarded-Proto: https``.
        max_age: Seconds after which a heartbeat no longer counts; 0 if it has none.
        pid: The process; this one by default.
        start: When that began, as the kernel counts; looked up by default.
        namespace: Where that pid means something; here by default.
    """

    #: Where it was read.
    folder = ""

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
        headers: tuple[str, ...] = (),
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
        self.headers = headers
        self.max_age = max_age
        self.pid = pid or os.getpid()
        self.start = _look_up(self.pid)[1] if start is None else start
        self.namespace = _namespace() if namespace is None else namespace

    def condition(self) -> str:
        """
        Return ``running``, ``stopped`` (SIGSTOP), ``gone`` or ``elsewhere``.

        The pid alone says little: the next container has the same ones, and so
        has another that shares the folder.
        """
        if self.namespace != _namespace():
            return "elsewhere"
        status, start = _look_up(self.pid)
        if start != self.start or status in "ZX":
            return "gone"
        return "stopped" if status == "T" else "running"

    def is_there(self) -> bool:
        return self.condition() in ("running", "stopped")

    def draining(self) -> bool:
        """Return whether ``NAME.draining`` lies beside it, and is of this run."""
        # Not by the date of the file: a clock may be set back between two runs.
        return self.beside("draining") == self.identity().encode()

    def drain(self) -> None:
        """
        Say, beside the file, that this very run of the process is draining.

        Raises:
            OSError: It cannot be written.
        """
        # Also for who may not read the state itself.
        unfinished = f"{self.folder}/.{self.name}.draining.{os.getpid()}"
        _create(unfinished, self.identity().encode(), mode=0o644)
        os.rename(unfinished, f"{self.folder}/{self.name}.draining")

    def identity(self) -> str:
        """Return what no other process has, nor this one's pid another time."""
        return f"{self.pid}/{self.start}/{self.namespace}"

    def beside(self, suffix: str) -> bytes:
        """Return what ``NAME.suffix`` beside the file holds; b"" if not to believe."""
        return _read(f"{self.folder}/{self.name}.{suffix}")

    def lines(self) -> list[tuple[str, str]]:
        """Return it as keys and values, the keys of lists as often as needed."""
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
            *(("header", header) for header in self.headers),
            ("max_age", str(self.max_age)),
        ]


def is_name(text: str) -> bool:
    """Return whether it can be a process's name, and so a file's."""
    plain = text.translate(dict.fromkeys(map(ord, "._-")))
    return text.isascii() and plain.isalnum() and text[0].isalnum() and len(text) <= 100


def write(state: State) -> str | None:
    """
    Write it where the probe looks; return the file, or None if nothing is writable.

    Raises:
        ValueError: The name is no process's, or a value is not one line of text.
    """
    if not is_name(state.name):
        raise ValueError(f"{state.name!r} is not the name of a process.")
    for key, value in state.lines():
        if not value.isprintable():
            raise ValueError(f"{key} is {value!r}, which is not one line of text.")
    text = "".join(f"{key}={value}\n" for key, value in state.lines())
    for folder in places():
        file = f"{folder}/{state.name}.state"
        # Renamed when it is complete: a probe sees all of it or nothing.
        unfinished = f"{folder}/.{state.name}.{os.getpid()}"
        if not _is_usable(folder, make=True):
            continue
        for _ in range(2):
            try:
                _create(unfinished, text.encode())
                os.rename(unfinished, file)
                return file
            except OSError:
                # What an earlier start left there is untrue from now on, and may
                # take the room that this one needs.
                _remove(file)
    return None


def read(file: str) -> State | None:
    """Return the state in a file; None if there is none, or none to believe."""
    content = _read(file)
    found: dict[str, list[str]] = {}
    for line in content.decode(errors="replace").split("\n"):
        key, _, value = line.partition("=")
        found.setdefault(key, []).append(value)
    try:
        state = State(
            found["name"][0],
            found["kind"][0],
            backend=found["backend"][0],
            addresses=tuple(found.get("address", ())),
            tls=found["tls"][0] == "1",
            host=found["host"][0],
            path=found["path"][0],
            headers=tuple(found.get("header", ())),
            max_age=float(found["max_age"][0]),
            pid=int(found["pid"][0]),
            start=found["start"][0],
            namespace=found["namespace"][0],
        )
    except (KeyError, ValueError):
        return None
    state.folder, _, named = file.rpartition("/")
    return state if named == f"{state.name}.state" else None


def find(name: str = "") -> tuple[State | None, str]:
    """
    Return the state of the process that is meant; or None, and the reason.

    It is that of the name; else of ``PROCESS_NAME``, if such a process has been
    started here; else of the only one that runs.
    """
    folders = [folder for folder in places() if _is_usable(folder)]
    wanted = name or os.environ.get("PROCESS_NAME", "")
    found = _read_all([f"{folder}/{wanted}.state" for folder in folders])
    # One that has ended is an answer too, where none runs.
    found.sort(key=lambda state: _CONDITIONS.index(state.condition()))
    if found and (name or found[0].condition() != "elsewhere"):
        return found[0], ""
    looked = f"looked in {', '.join(places())}"
    if name:
        return None, f"{name} has not written its state; {looked}"
    found = _read_all([file for folder in folders for file in _files(folder)])
    # Two of the folders may be one, by a link or a mount.
    running = {state.pid: state for state in found if state.is_there()}
    if len(running) == 1:
        return running.popitem()[1], ""
    if not running:
        return None, f"no process that runs has written its state; {looked}"
    names = ", ".join(sorted(state.name for state in running.values()))
    return None, f"several processes run, give the name of one: {names}"


def places() -> list[str]:
    """Return the folders that the file may be in, the best first."""
    # tempfile knows the last two, and takes long to import.
    shared = [_MEMORY, os.environ.get("TMPDIR", ""), _TEMPORARY]
    own = [f"{folder.rstrip('/')}/{_own_name()}" for folder in shared if folder]
    given = os.environ.get("PRODSERVER_RUNTIME_DIR", "").rstrip("/")
    if given and _is_usable(given) and os.access(given, os.W_OK):
        return [given]  # what lies elsewhere is of other processes
    return list(dict.fromkeys([*filter(None, [given]), _SYSTEM, *own]))


def runtime_folder() -> str | None:
    """Return the folder that this process writes to, made if it is missing."""
    for folder in places():
        if _is_usable(folder, make=True):
            try:
                _create(f"{folder}/.writable.{os.getpid()}", b"")
                os.unlink(f"{folder}/.writable.{os.getpid()}")
            except OSError:
                continue
            return folder
    return None


def _is_usable(folder: str, *, make: bool = False) -> bool:
    if make and folder != _SYSTEM:
        try:
            os.mkdir(folder, 0o700)
        except OSError:
            pass  # it is there, or cannot be
    try:
        if not folder.endswith(f"/{_own_name()}"):
            return stat.S_ISDIR(os.stat(folder).st_mode)
        # Where everybody may write, another can have been first.
        status = os.lstat(folder)
    except OSError:
        return False
    is_private = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return stat.S_ISDIR(status.st_mode) and is_private


def _own_name() -> str:
    # Of containers that share a /dev/shm, each has one of its own: the names of
    # their processes may be the same.
    inode = _pid_namespace()
    return f"prodserver-{os.geteuid()}" + (f"-{inode}" if inode else "")


def _create(file: str, content: bytes, mode: int = 0o600) -> None:
    _remove(file)  # of a start that was cut short
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        if os.write(opened, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        _remove(file)
        error.filename = file  # a write knows no name
        raise
    finally:
        os.close(opened)


def _remove(file: str) -> None:
    try:
        os.unlink(file)
    except OSError:
        pass  # there is none, or it is not ours


def _read(file: str) -> bytes:
    """Return what a file of ours holds; nothing of one that is not."""
    try:
        # Neither through a link, nor waiting for somebody to write to a pipe.
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(opened)
            content = os.read(opened, _LIMIT)
        finally:
            os.close(opened)
    except OSError:
        return b""
    if os.geteuid() and status.st_uid not in (os.geteuid(), 0):
        return b""
    return content


def _files(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []  # another user's
    return [f"{folder}/{name}" for name in names if name.endswith(".state")]


def _read_all(files: list[str]) -> list[State]:
    return [state for state in map(read, files) if state]


def _look_up(pid: int) -> tuple[str, str]:
    """Return a process's status letter, X if there is none, and when it began."""
    try:
        with open(f"{_PROC}/{pid}/stat", "rb") as file:
            # The name is in parentheses, and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), fields[19].decode()
    except OSError:
        pass  # it is gone, or the machine has no /proc
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "X", ""
    except OSError:
        pass  # somebody else's, and there
    return "R", ""


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
