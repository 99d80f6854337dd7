"""
Make one request to another container; print a line about its answer.

    request.py HOST PORT NAME PATH             "answered 200", or "no answer: why"
    request.py HOST PORT NAME PATH hold        first "held", or "early 200"
    request.py HOST PORT NAME PATH hold slow   the same, for a page that is slow

With "hold", the body is sent slowly, until the file GO exists; an answer before that
is too early. NAME is the Host header.
"""

import os
import select
import socket
import sys
import time

GO = "/tmp/go"
host, port, name, path, *how = sys.argv[1:]
body = b"a=" + b"x" * 4094 if how == ["hold"] else b""
lines = [
    f"{'POST' if body else 'GET'} {path} HTTP/1.1",
    f"Host: {name}",
    "User-Agent: prodserver-conformance",
    "Accept: */*",
    "Connection: close",
]
if body:
    # With the cookie, Django's CSRF middleware reads the body before it refuses it.
    lines += [
        f"Content-Length: {len(body)}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Cookie: csrftoken={'a' * 32}",
    ]


def answer(connection: socket.socket) -> str:
    """Return the status, or why there is no answer."""
    head = b""
    while b"\r\n" not in head:
        if not (received := connection.recv(4096)):
            return "no answer: it hangs up"
        head += received
    words = head.split(b"\r\n")[0].decode(errors="replace").split()
    if not words or not words[0].startswith("HTTP/"):
        return "no answer: it is not HTTP"
    # To the end: a truncated answer does not count.
    while connection.recv(65536):
        pass
    return f"answered {words[1]}"


def say(line: str) -> None:
    print(line, flush=True)


try:
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[:2048])
    if how:
        if select.select([connection], [], [], 1.5)[0]:
            say(f"early: {answer(connection)}")
            sys.exit(0)
        say("held")
        sent = min(2048, len(body))
        deadline = time.monotonic() + 120
        while body and not os.path.exists(GO) and time.monotonic() < deadline:
            connection.sendall(body[sent : sent + 1])
            sent += 1
            time.sleep(0.2)
        connection.sendall(body[sent:])
    say(answer(connection))
except OSError as error:
    say(f"no answer: {error}")
