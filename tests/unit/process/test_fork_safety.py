"""Obstacles to sharing a loaded application with forked workers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest


def run(code: str, **options: Any) -> list[str]:
    """Run code in a new interpreter; return the lines that it prints."""
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
    (line,) = run(f"{code}\nprint(fork_safety.find_obstacle())", **options)
    return line


def test_bare_interpreter_is_safe():
    assert obstacle("") == ""


def test_running_thread():
    code = """
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="poller", daemon=True).start()
    """
    found = obstacle(textwrap.dedent(code))
    assert found == "the application has started the thread 'poller'"


def test_finished_thread_is_safe():
    code = "t = threading.Thread(target=int); t.start(); t.join()"
    assert obstacle(code) == ""


def test_open_socket():
    found = obstacle("s = socket.socket()\nsys.stderr.write(str(s.fileno()))")
    assert found.startswith("the application has left open a socket (file descriptor ")


@pytest.mark.parametrize("mode", ["r", "w", "r+"])
def test_open_file(mode, tmp_path):
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
def test_shareable_files_are_safe(code, tmp_path):
    (tmp_path / "data").touch()
    assert obstacle(code.replace("PATH", repr(str(tmp_path / "data")))) == ""


@pytest.mark.parametrize("is_inheritable", [True, False])
def test_inherited_files_are_safe(is_inheritable, tmp_path):
    """Such as ``7<file`` in a shell; files that Python opens are close-on-exec."""
    (tmp_path / "data").touch()
    path = str(tmp_path / "data")
    code = f"f = open({path!r}); os.set_inheritable(f.fileno(), {is_inheritable})"
    expected = (
        "" if is_inheritable else f"the application has left open the file {path}"
    )
    assert obstacle(code) == expected


def test_unreferenced_files_are_safe():
    code = """
        gc.disable()
        cycle = [socket.socket()]
        cycle.append(cycle)
        del cycle
    """
    assert obstacle(textwrap.dedent(code)) == ""


def test_forked_worker_does_not_inherit_signal_handlers():
    """The parent keeps them; no signal stays blocked in either."""
    code = """
        def report():
            handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
            names = [getattr(h, "name", None) or h.__name__ for h in handlers]
            print(*names, *signal.pthread_sigmask(signal.SIG_BLOCK, ()), flush=True)

        def handler(*args): pass

        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, handler)
        fork_safety.restore_signals_in_children()
        child = os.fork()
        if not child:
            report()
            os._exit(0)
        os.waitpid(child, 0)
        report()
    """
    assert run(code) == ["SIG_DFL SIG_DFL", "handler handler"]


def test_signal_right_after_the_fork_ends_the_worker():
    """It is blocked until the child has default handlers; the mask is then restored."""
    code = """
        # Registered first: in a child, the launcher's hooks run after it.
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


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("signal.signal(signal.SIGUSR1, print)", "handles the signal SIGUSR1"),
        (
            "import faulthandler; faulthandler.register(signal.SIGUSR2)",
            "handles the signal SIGUSR2",
        ),
        (
            "signal.setitimer(signal.ITIMER_REAL, 60)",
            "has set an interval timer",
        ),
        (
            "import multiprocessing; lock = multiprocessing.Lock()",
            "has made a multiprocessing lock, queue or pool",
        ),
    ],
    ids=["handler", "handler in C", "timer", "lock"],
)
def test_state_of_the_kernel_that_workers_would_not_have_or_would_share(code, found):
    assert obstacle(code) == f"the application {found}"


@pytest.mark.parametrize(
    "code",
    [
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "signal.signal(signal.SIGINT, print)",
        "import faulthandler; faulthandler.enable()",
        "signal.setitimer(signal.ITIMER_REAL, 60); signal.setitimer(0, 0)",
        "import subprocess; subprocess.run(['true'])",
        "import subprocess; child = subprocess.Popen(['true']); "
        "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)",
    ],
    ids=["ignored", "interrupt", "faulthandler", "cleared", "ended", "zombie"],
)
def test_state_that_does_not_matter(code):
    assert obstacle(code) == ""


def test_a_child_process_is_named():
    code = """
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        print(fork_safety.find_obstacle(), child.pid)
        fork_safety.end_children()
        print(fork_safety.find_obstacle() or "none")
    """
    found, left = run(code)
    name, pid = found.rsplit(" ", 1)
    assert name == f"the application has started a process (sleep, pid {pid})"
    assert left == "none"


def test_children_that_ignore_sigterm_are_killed():
    code = """
        import subprocess
        script = "trap '' TERM; echo; while :; do sleep 1; done"
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        child.stdout.readline()
        fork_safety.end_children(seconds=0.1)
        print(fork_safety.find_obstacle() or "none")
    """
    assert run(code) == ["none"]


def test_inherited_children_are_no_obstacle_and_are_left_alone():
    code = """
        import subprocess
        sidecar = subprocess.Popen(["sleep", "60"])
        inherited = fork_safety.children()
        helper = subprocess.Popen(["sleep", "60"])
        print(fork_safety.find_obstacle(inherited).endswith(f"pid {helper.pid})"))
        fork_safety.end_children(inherited)
        print(fork_safety.find_obstacle(inherited) or "none", sidecar.poll())
        sidecar.kill()
    """
    assert run(code) == ["True", "none None"]
