"""What keeps a loaded application from being shared by forked workers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest


def run(code: str, **options: Any) -> list[str]:
    """Run code in an interpreter of its own; return the lines that it prints."""
    setup = """
        import gc, os, signal, socket, sys, tempfile, threading
        from django_prodserver.process import fork_safety
    """
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    lines: list[str] = done.stdout.splitlines()
    return lines


def obstacle(code: str, **options: object) -> str:
    (found,) = run(f"{code}\nprint(fork_safety.find_obstacle())", **options)
    return found


def test_nothing_is_in_the_way_of_a_bare_interpreter():
    assert obstacle("") == ""


def test_a_thread():
    code = """
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="poller", daemon=True).start()
    """
    found = obstacle(textwrap.dedent(code))
    assert found == "the application has started the thread 'poller'"


def test_a_thread_that_has_ended_is_none():
    code = "t = threading.Thread(target=int); t.start(); t.join()"
    assert obstacle(code) == ""


def test_a_socket():
    found = obstacle("s = socket.socket()\nsys.stderr.write(str(s.fileno()))")
    assert found.startswith("the application has left open a socket (file descriptor ")


@pytest.mark.parametrize("mode", ["r", "w", "r+"])
def test_a_file(mode, tmp_path):
    path = tmp_path / "data"
    path.touch()
    found = obstacle(f"f = open({str(path)!r}, {mode!r})")
    assert found == f"the application has left open the file {path}"


@pytest.mark.parametrize(
    "code",
    [
        "f = open(PATH, 'a')",
        "f = os.memfd_create('arena')",
        "f = tempfile.TemporaryFile(dir='/dev/shm')",
        "f = os.open(os.path.dirname(PATH), os.O_RDONLY)",
        "f = os.pipe()",
        "f = open('/dev/null')",
        "open(PATH).close()",
    ],
    ids=["log", "memfd", "memory", "folder", "pipe", "device", "closed"],
)
def test_what_can_be_shared(code, tmp_path):
    (tmp_path / "data").touch()
    assert obstacle(code.replace("PATH", repr(str(tmp_path / "data")))) == ""


@pytest.mark.parametrize("is_inheritable", [True, False])
def test_what_was_handed_down_is_the_workers_too(is_inheritable, tmp_path):
    """As ``7<file`` of a shell; Python's own are close-on-exec."""
    (tmp_path / "data").touch()
    path = str(tmp_path / "data")
    code = f"f = open({path!r}); os.set_inheritable(f.fileno(), {is_inheritable})"
    expected = (
        "" if is_inheritable else f"the application has left open the file {path}"
    )
    assert obstacle(code) == expected


def test_what_the_collector_closes_is_none():
    code = """
        gc.disable()
        cycle = [socket.socket()]
        cycle.append(cycle)
        del cycle
    """
    assert obstacle(textwrap.dedent(code)) == ""


def test_a_forked_worker_has_no_handlers_of_its_parents():
    """And the parent keeps them; neither has a signal blocked."""
    code = """
        def tell():
            handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
            names = [getattr(h, "name", None) or h.__name__ for h in handlers]
            print(*names, *signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)

        def handler(*args): pass

        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, handler)
        fork_safety.restore_signals_in_children()
        child = os.fork()
        if not child:
            tell()
            os._exit(0)
        os.waitpid(child, 0)
        tell()
    """
    assert run(code) == ["SIG_DFL SIG_DFL", "handler handler"]


def test_a_signal_between_the_fork_and_the_handlers_ends_the_worker():
    """It is held until the child has the system's own; what was blocked stays so."""
    code = """
        # Before: those of the launcher run behind it in a child.
        def hit():
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, lambda *args: print("noted", flush=True))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.register_at_fork(after_in_child=hit)
        fork_safety.restore_signals_in_children()
        child = os.fork()
        if not child:
            print("alive", flush=True)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print([s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())])
    """
    assert run(code) == ["-15", "['SIGUSR1']"]
