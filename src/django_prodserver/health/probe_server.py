"""
The probe over HTTP, for platforms that can only send HTTP requests.

It is a separate process, so it answers correctly even if the process it reports on
hangs, and no fork copies it. It exits when that process has exited.

Arguments: the state file and the port. It runs as a file, like the probe, and exits
with 0 once a child of it listens.
"""

# ruff: noqa: PTH100, PTH120

import os
import signal
import socket
import sys
import threading
import time

if __package__:
    from django_prodserver.health import probe
    from django_prodserver.health import state as states
else:  # run as a file, by a Python that may not have the package
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import probe  # type: ignore[import-not-found, no-redef]
    import state as states  # type: ignore[import-not-found, no-redef]

    del sys.path[0]

#: The options of the probe for each path.
PATHS = {"/live": ["--live"], "/ready": ["--ready"]}
# Seconds between two checks of the process, for a client, and for the port, which the
# server of the last start may still hold.
_POLL = 0.5
_CLIENT = 2.0
_PORT = 5.0
# The most clients at a time, and bytes of a request.
_MAX_CLIENTS = 16
_MAX_SIZE = 8192


def main(argv: list[str]) -> int:
    """Listen, and serve in a child; return the exit code."""
    file, port = argv
    state = states.read(file)
    if state is None:
        sys.stderr.write(f"{file} cannot be read")
        return 1
    try:
        listener = _listen(int(port))
    except OSError as error:
        sys.stderr.write(error.strerror or str(error))
        return 1
    if os.fork():
        # The caller waits for this process, so that it gets no child.
        os._exit(0)
    _detach()
    _serve(listener, state)
    return 0


def _listen(port: int) -> socket.socket:
    deadline = time.monotonic() + _PORT
    while True:
        try:
            if socket.has_dualstack_ipv6():
                return socket.create_server(
                    ("", port), family=socket.AF_INET6, dualstack_ipv6=True
                )
            return socket.create_server(("", port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _detach() -> None:
    """Close what others may wait for, and leave the process group."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)


def _serve(listener: socket.socket, state: "states.State") -> None:
    """Serve until the process has exited."""
    clients = threading.BoundedSemaphore(_MAX_CLIENTS)

    def answer(client: socket.socket) -> None:
        try:
            with client:
                _answer(client, state)
        except OSError:
            pass  # the client disconnected or is too slow
        finally:
            clients.release()

    listener.settimeout(_POLL)
    while state.exists():
        try:
            client, _ = listener.accept()
        except OSError:  # usually because there is no client
            continue
        if clients.acquire(blocking=False):
            threading.Thread(target=answer, args=(client,), daemon=True).start()
        else:
            client.close()


def _answer(client: socket.socket, state: "states.State") -> None:
    deadline = time.monotonic() + _CLIENT
    request = b""
    while b"\r\n\r\n" not in request and len(request) < _MAX_SIZE:
        client.settimeout(max(deadline - time.monotonic(), 0.001))
        received = client.recv(4096)
        if not received:
            return
        request += received
    method, _, rest = request.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    status, text = respond(method, path, state)
    body = f"{text}\n" if method != "HEAD" else ""
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text) + 1}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    client.settimeout(max(deadline - time.monotonic(), 0.001))
    client.sendall("\r\n".join([*head, "", body]).encode())


def respond(method: str, path: str, state: "states.State") -> tuple[str, str]:
    """Return the status and the text, by the rules of the probe."""
    if path not in PATHS:
        return "404 Not Found", "not found"
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", "GET"
    try:
        code, _ = probe.answer(state, probe.Options(PATHS[path]))
    except Exception:  # unknown counts as no
        code = probe.UNKNOWN
    word = path[1:]
    if code == probe.YES:
        return "200 OK", word
    # Without the reason, because anyone can send this request.
    text = f"not {word}" if code == probe.NO else "unknown"
    return "503 Service Unavailable", text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
