"""
``prodserver-probe``: check whether the process in this container is ready or live.

Exits with 0 for yes, 1 for no and 2 for unknown, and prints one line with the
reason. It costs little more than starting Python: it imports almost nothing that
Python has not already loaded (``socket`` alone would double the cost), and also runs
as ``python -I -S probe.py``.

A web process is ready if it answers a request in time with a status below 500: a
redirect, a 401 and a 404 are valid responses of the application. A 400 is about this
request, usually its Host header, which proves nothing about others: unknown.

It is live if it is the process that was started, is not stopped, and listens. The
probe does not wait for an answer, not even from ``HealthMiddleware``: an overloaded
server would be restarted for being busy. A server that hangs is live but not ready.

``--drain`` prepares a stop: from then on the process is not ready but keeps serving,
and the command returns after that many seconds. That gives a proxy or a Service time
to send new requests elsewhere.
"""

# pathlib and contextlib take longer to import than everything else here.
# ruff: noqa: PTH100, PTH120, SIM105

import os
import sys
import time

try:
    import _socket
except ImportError:
    import socket as _socket  # type: ignore[no-redef]

if __package__:
    from django_prodserver.health import heartbeat
    from django_prodserver.health import state as states
else:  # run as a file, by a Python that may not have the package
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import heartbeat  # type: ignore[import-not-found, no-redef]
    import state as states  # type: ignore[import-not-found, no-redef]

    del sys.path[0]

YES, NO, UNKNOWN = range(3)
#: The exit codes, with their meanings.
EXIT_CODES = {
    YES: "The process is ready (with --live: live).",
    NO: "It is not.",
    UNKNOWN: "Unknown; the reason is printed.",
}
USAGE = (
    "usage: prodserver-probe [--live|--ready|--drain SECONDS]"
    " [--timeout SECONDS] [--json] [NAME]"
)
# Where to connect to a server that listens on every interface.
_ANY = "0.0.0.0"  # noqa: S104
_LOOPBACK = {"": "127.0.0.1", "*": "127.0.0.1", _ANY: "127.0.0.1", "::": "::1"}
_MAX_SIZE = 65536  # bytes to read of a response
_MAX_SECONDS = 86400


class Options:
    """The parsed command line."""

    live = False
    json = False
    help = False
    timeout = 1.0
    #: Seconds to wait after marking the process as draining; None to only check.
    drain: float | None = None
    name = ""

    def __init__(self, argv: list[str]) -> None:
        words = iter(argv)
        for word in words:
            option, equals, value = word.partition("=")
            if word in ("--live", "--ready"):
                self.live = word == "--live"
            elif word == "--json":
                self.json = True
            elif word in ("-h", "--help"):
                self.help = True
            elif option in ("--timeout", "--drain"):
                seconds = _seconds(option, value if equals else next(words, ""))
                setattr(self, option[2:], seconds)
            elif word.startswith("-"):
                raise ValueError(f"unknown option {word}")
            elif self.name or not states.is_name(word):
                raise ValueError(f"{word!r} is not a process name, or a second one")
            else:
                self.name = word


def main(argv: list[str] | None = None) -> int:
    """Print the answer; return the exit code."""
    started = time.monotonic()
    try:
        options = Options(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        _print(f"{error}; {USAGE}")
        return UNKNOWN
    if options.help:
        _print(USAGE)
        return YES
    state = None
    try:
        state, reason = states.find(options.name)
        if options.drain is not None:
            _die_of_sigint()
            code, line = _drain(state, reason)
        elif state:
            code, line = answer(state, options)
        else:
            code, line = UNKNOWN, reason
    except Exception as error:
        # A traceback would exit with 1, which means no.
        code, line = UNKNOWN, f"{type(error).__name__}: {error}"
    if code == UNKNOWN:
        verb = "tell" if options.drain is None else "mark it as draining"
        line = f"cannot {verb}: {line}"
    if options.json:
        line = _as_json(options, state, code, line, time.monotonic() - started)
    _print(line)
    if options.drain and code != NO:
        time.sleep(options.drain)
    return code


def answer(state: states.State, options: Options) -> tuple[int, str]:
    """Return the answer for a process: an exit code, and a line with the reason."""
    name = state.name
    condition = state.condition()
    if answer_if_absent := _absence(state, condition):
        return answer_if_absent
    if not options.live and state.draining():
        return NO, f"{name} is not ready: it is draining"
    if condition == "stopped" and (options.live or state.kind != "web"):
        question = "live" if options.live else "ready"
        return NO, f"{name} is not {question}: process {state.pid} is stopped"
    last = heartbeat.read(state)
    is_waiting = last and last.condition == "starting" and last.detail
    if state.kind != "web" or is_waiting:
        return _by_heartbeat(state, last, live=options.live)
    if not state.addresses:
        if options.live:
            return YES, f"{name} is live: process {state.pid} is running"
        return UNKNOWN, f"the address of {name} is unknown"
    where = state.addresses[0].removeprefix("tcp://")
    check = _is_live if options.live else _is_ready
    return check(state, where, options.timeout)


def _by_heartbeat(
    state: states.State, last: heartbeat.Heartbeat | None, *, live: bool
) -> tuple[int, str]:
    name = state.name
    if state.kind != "web" and not state.max_age:
        return UNKNOWN, f"{name} is a {state.kind} without a heartbeat"
    if not last:
        return UNKNOWN, f"{name} has no heartbeat in {state.directory}"
    if last.condition == "silent":
        return UNKNOWN, f"{name} has no heartbeat: {last.detail}"
    why = f": {last.detail}" if last.detail else ""
    # Check the age only while the loop runs: before it starts and after it ends, the
    # process is live as long as it exists.
    if last.condition in ("ready", "standby", "busy", "waiting"):
        age = f"last heartbeat {last.age:.1f} s ago"
        is_timed = last.condition in ("ready", "waiting")
        if is_timed and last.age > state.max_age:
            if not heartbeat.is_writable(state):
                return UNKNOWN, f"{age}, and {state.directory} is now read-only"
            question = "live" if live else "ready"
            return NO, f"{name} is not {question}: {age}, limit {state.max_age:g} s"
        if not live and last.condition != "waiting":
            now = "" if last.condition == "ready" else f": it is {last.condition}"
            return YES, f"{name} is ready{now} ({age}){why}"
    if not live:
        return NO, f"{name} is not ready: it is {last.condition}{why}"
    return YES, f"{name} is live: it is {last.condition}{why}"


def _absence(state: states.State, condition: str) -> tuple[int, str] | None:
    """Return the answer for a process that has ended or is elsewhere; else None."""
    if condition == "elsewhere":
        return UNKNOWN, f"the state of {state.name} is from another container or boot"
    if condition == "gone":
        return NO, f"{state.name} is not running: process {state.pid} has ended"
    return None


def _drain(state: states.State | None, reason: str) -> tuple[int, str]:
    """Mark the process as draining; ``main`` waits even if this fails."""
    if state is None:
        return UNKNOWN, reason
    if answer_if_absent := _absence(state, state.condition()):
        return answer_if_absent
    try:
        state.drain()
    except OSError as error:
        return UNKNOWN, f"{error.filename}: {error.strerror}"
    return YES, f"{state.name} is draining: it is not ready but keeps serving"


def _die_of_sigint() -> None:
    """Let Ctrl-C end the wait as SIGTERM does, without a traceback."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_live(state: states.State, where: str, timeout: float) -> tuple[int, str]:
    try:
        _connect(state.addresses[0], time.monotonic() + timeout).close()
    except TimeoutError:
        # Its backlog is full, and no connection was accepted during the timeout.
        return YES, f"{state.name} is live: the connection queue at {where} is full"
    except (ConnectionRefusedError, FileNotFoundError):
        return NO, f"{state.name} is not live: nothing listens on {where}"
    return YES, f"{state.name} is live: it listens on {where}"


def _is_ready(state: states.State, where: str, timeout: float) -> tuple[int, str]:
    no = f"{state.name} is not ready:"
    started = time.monotonic()
    try:
        status = _get(state, started + timeout)
    except TimeoutError:
        return NO, f"{no} no answer from {where} within {timeout:g} s"
    except (ConnectionRefusedError, FileNotFoundError):
        return NO, f"{no} nothing listens on {where}"
    except ConnectionError:
        return NO, f"{no} {where} closed the connection without a response"
    if not status:
        return NO, f"{no} the response from {where} is not HTTP"
    line = f"{status} from {where} in {(time.monotonic() - started) * 1000:.0f} ms"
    if status == 400:
        return UNKNOWN, f"{line}; is {state.host} in ALLOWED_HOSTS?"
    if status >= 500:
        return NO, f"{no} {line}"
    return YES, f"{state.name} is ready: {line}"


def _get(state: states.State, deadline: float) -> int:
    """Send a request; return the status of the response, or 0 if it is not HTTP."""
    lines = [
        f"GET {state.path} HTTP/1.1",
        f"Host: {state.host}",
        "User-Agent: prodserver-probe",
        "Accept: */*",
        "Connection: close",
    ]
    connection = _connect(state.addresses[0], deadline)
    if state.tls:
        connection = _encrypted(connection, state.host, deadline)
    try:
        connection.settimeout(_left(deadline))
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        status = _read_status(connection, deadline)
        _read_rest(connection, deadline)
    finally:
        connection.close()
    return status


def _connect(address: str, deadline: float) -> "_socket.socket":
    scheme, _, where = address.partition("://")
    name, _, port = where.rpartition(":")
    name = _LOOPBACK.get(name.strip("[]"), name.strip("[]"))
    family = _socket.AF_INET6 if ":" in name else _socket.AF_INET
    if scheme == "unix":
        family = _socket.AF_UNIX
    while True:
        connection = _socket.socket(family, _socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(where if scheme == "unix" else (name, int(port)))
            return connection
        except BlockingIOError:
            # The backlog of a unix socket is full; connect() does not wait then.
            connection.close()
            time.sleep(0.02)
        except BaseException:
            connection.close()
            raise


def _encrypted(
    connection: "_socket.socket", host: str, deadline: float
) -> "_socket.socket":
    import socket
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The probe connects to the address, which the certificate is not made for.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.socket(fileno=connection.detach())
    try:
        plain.settimeout(_left(deadline))
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLEOFError as error:
        raise ConnectionResetError(*error.args) from None
    finally:
        plain.close()  # it no longer owns the connection, unless that failed


def _read_status(connection: "_socket.socket", deadline: float) -> int:
    head = b""
    while len(head) < _MAX_SIZE:
        line, complete, _ = head.partition(b"\n")
        version, _, rest = line.partition(b" ")
        if complete and not (version.startswith(b"HTTP/1.") and rest[:3].isdigit()):
            return 0
        if complete and not rest.startswith(b"1"):
            return int(rest[:3])
        # Skip an interim response, such as 103.
        _, interim, after = head.partition(b"\r\n\r\n")
        if complete and interim:
            head = after
            continue
        connection.settimeout(_left(deadline))
        if not (received := connection.recv(4096)):
            raise ConnectionResetError
        head += received
    return 0


def _read_rest(connection: "_socket.socket", deadline: float) -> None:
    """Read the rest of a page, because some servers log clients that disconnect."""
    deadline = min(deadline, time.monotonic() + 0.2)
    try:
        for _ in range(16):
            connection.settimeout(_left(deadline))
            if not connection.recv(_MAX_SIZE):
                return
    except OSError:
        pass  # the status is known by now


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _seconds(option: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if 0 <= seconds <= _MAX_SECONDS and (seconds or option == "--drain"):
        return seconds
    raise ValueError(f"{option} is {text!r}, not a number of seconds")


def _as_json(
    options: Options, state: states.State | None, code: int, line: str, took: float
) -> str:
    import json

    question = "live" if options.live else "ready"
    result: dict[str, object] = {
        "question": question if options.drain is None else "drain",
        "answer": ("yes", "no", "unknown")[code],
        "reason": line,
        "milliseconds": round(took * 1000),
    }
    if state:
        if last := heartbeat.read(state):
            result["heartbeat"] = {
                "condition": last.condition,
                "detail": last.detail,
                "seconds": round(last.age, 1),
                "max_age": state.max_age,
            }
        result |= {
            "name": state.name,
            "kind": state.kind,
            "backend": state.backend,
            "pid": state.pid,
            "condition": state.condition(),
            "draining": state.draining(),
            "addresses": list(state.addresses),
        }
    return json.dumps(result)


def _print(line: str) -> None:
    # Not print(), which may fail again when Python exits and change the exit code.
    line = " ".join(line.split("\n"))
    try:
        os.write(1, f"{line}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
