"""Obstacles to sharing a loaded application with forked workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import pytest


def run(code: str, via: Sequence[str] = (), **options: Any) -> list[str]:
    """Run code in a new interpreter; return the lines that it prints."""
    setup = """
        import ctypes, gc, os, signal, socket, sys, tempfile, threading
        from django_prodserver.process import fork_safety
    """
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [*via, sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    lines: list[str] = done.stdout.splitlines()
    return lines


SNAPSHOT = "before = fork_safety.snapshot()\n"
FIND = "\nprint(fork_safety.find_obstacle(before))"


def obstacle(code: str, **options: Any) -> str:
    """Return what is found after code has run between snapshot and look."""
    (line,) = run(SNAPSHOT + textwrap.dedent(code) + FIND, **options)
    return line


def late_obstacle(code: str, **options: Any) -> str:
    """Return what is found if the snapshot comes after it, as under ``manage.py``."""
    django = "\nfrom django.conf import settings; settings.configure()\n"
    (line,) = run(textwrap.dedent(code) + django + SNAPSHOT + FIND, **options)
    return line


both = pytest.mark.parametrize("look", [obstacle, late_obstacle])


def test_bare_interpreter_is_safe():
    assert obstacle("") == ""


def test_running_thread():
    code = """
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="poller", daemon=True).start()
    """
    found = obstacle(code)
    assert found == "the application has started the thread 'poller'"


def test_threads_and_handlers_of_the_interpreters_start_are_not_the_applications():
    """Such as a ``sitecustomize``'s: the native command has them as well."""
    code = """
        threading.Thread(target=signal.pause, daemon=True).start()
        signal.signal(signal.SIGUSR1, print)
    """
    assert run(textwrap.dedent(code) + SNAPSHOT + FIND) == [""]


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists them")


@LINUX
@both
def test_threads_of_a_library_that_notices_a_fork_are_safe(look):
    """OpenBLAS ends its own before each fork, and starts them again when needed."""
    code = """
        import numpy
        if len(os.listdir("/proc/self/task")) < 2:
            print("this numpy has no threads")
    """
    env = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    assert look(code, env=env) == ""


@LINUX
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("jemalloc_bg_thd", ""),
        (
            "polars-0",
            "the application has started a thread outside Python ('polars-0')",
        ),
    ],
)
def test_thread_of_a_library_without_such_a_handler(name, found):
    code = f"""
        libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
        libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
        libc.pthread_setname_np(thread, {name.encode()!r})
    """
    assert obstacle(code) == found


@LINUX
def test_looking_at_threads_runs_no_handler_of_the_application_for_forks():
    code = """
        libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
        libc.pthread_create(ctypes.byref(thread), None, libc.pause, None)
        os.register_at_fork(before=lambda: print("noticed"))
    """
    assert "outside Python" in obstacle(code)


def test_finished_thread_is_safe():
    code = "t = threading.Thread(target=int); t.start(); t.join()"
    assert obstacle(code) == ""


def test_thread_of_a_module_is_named_with_it():
    code = """
        def poll(): signal.pause()
        threading.Thread(target=poll, name="poller", daemon=True).start()
    """
    assert obstacle(code).endswith("the thread 'poller' of __main__")


@both
@pytest.mark.parametrize(
    "code",
    [
        "s = socket.socket()",
        "s = socket.socketpair()",
        "s = ctypes.CDLL(None).socket(2, 1, 0)",
    ],
    ids=["python", "pair", "c library"],
)
def test_open_socket(look, code):
    found = look(code)
    assert found.startswith("the application has left open a socket (file descriptor ")


@both
def test_a_connection_is_named_by_its_address(look):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        found = look(f"client = socket.create_connection(({host!r}, {port}))")
    assert found == f"the application has left open a connection to 127.0.0.1:{port}"


def test_a_listening_socket_is_named_by_its_path(short_folder):
    code = f"""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("{short_folder}/s")
        listener.listen()
    """
    name = f"a socket that listens on {short_folder}/s"
    assert obstacle(code) == f"the application has left open {name}"


def test_a_connection_to_a_unix_socket_is_named_by_its_path(short_folder):
    name = f"{short_folder}/s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        found = obstacle(f"s = socket.socket(socket.AF_UNIX); s.connect({name!r})")
    assert found == f"the application has left open a connection to {name}"


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
        "f = open(os.path.realpath(sys.executable))",
        "open(PATH).close()",
        "import logging.handlers as h; f = h.RotatingFileHandler(PATH, maxBytes=9)",
        "tempfile.TemporaryDirectory().cleanup()",
        "class A: pass\na = A(); __import__('weakref').finalize(a, int)",
    ],
    ids=[
        *("log", "memfd", "memory", "folder", "pipe", "device", "code", "closed"),
        *("rotating log", "removed", "finalizer"),
    ],
)
def test_shareable_files_are_safe(code, tmp_path):
    (tmp_path / "data").touch()
    assert obstacle(code.replace("PATH", repr(str(tmp_path / "data")))) == ""


def test_code_that_could_be_changed_is_not_safe(tmp_path):
    """Such as that of callbacks, which a worker would make for all of them."""
    path = tmp_path / "data"
    path.write_bytes(bytes(4096))
    code = f"""
        import mmap
        file = open({str(path)!r}, "r+b")
        code = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)
    """
    assert obstacle(code) == f"the application has left open the file {path}"


@both
def test_a_file_of_a_c_library_is_the_applications(look, tmp_path):
    """It is not close-on-exec, as what a shell hands down is not."""
    (tmp_path / "data").touch()
    found = look(f"f = ctypes.CDLL(None).open({bytes(tmp_path / 'data')!r}, 0)")
    assert found == f"the application has left open the file {tmp_path / 'data'}"


@both
def test_what_the_parent_process_has_open_is_inherited(look, tmp_path):
    """Such as ``7<file`` in a shell, and a connection that inetd hands down."""
    (tmp_path / "data").touch()
    one, other = socket.socketpair()
    with (tmp_path / "data").open() as file, one, other:
        assert look("", pass_fds=[file.fileno(), one.fileno()]) == ""


@both
def test_what_a_shell_that_is_gone_has_opened_is_inherited(look, tmp_path):
    (tmp_path / "data").touch()
    shell = ["sh", "-c", f'exec "$@" 7<{tmp_path}/data', "sh"]
    assert look("", via=shell) == ""


def test_a_listening_socket_is_inherited_though_the_parent_has_none():
    """Such as Gunicorn's and Uvicorn's ``fd://N``, under ``manage.py``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        program = f"""
            import os, subprocess, sys
            child = subprocess.Popen(sys.argv[1:], pass_fds=[{number}])
            os.close({number})
            sys.exit(child.wait())
        """
        parent = [sys.executable, "-c", textwrap.dedent(program)]
        assert late_obstacle("", pass_fds=[number], via=parent) == ""


def test_sockets_of_systemd_are_inherited():
    """Datagrams: nothing but LISTEN_FDS tells that they were handed down."""
    code = """
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        numbers = [each.detach() for each in pair]
        moved = [os.dup2(number, 3 + i) for i, number in enumerate(numbers)]
        [os.close(number) for number in numbers if number not in moved]
    """
    assert "a socket" in late_obstacle(code)
    assert "a socket" in late_obstacle(code, env={**os.environ, "LISTEN_FDS": "1"})
    assert late_obstacle(code, env={**os.environ, "LISTEN_FDS": "2"}) == ""


def test_the_next_program_gets_what_was_inherited_only(tmp_path):
    (tmp_path / "data").touch()
    code = f"""
        from django_prodserver.process import descriptors
        before = fork_safety.snapshot()
        mine = ctypes.CDLL(None).open({bytes(tmp_path / "data")!r}, 0)
        descriptors.close_on_exec(before.descriptors)
        print(os.get_inheritable(NUMBER), os.get_inheritable(mine))
    """
    one, other = socket.socketpair()
    with one, other:
        number = one.fileno()
        code = code.replace("NUMBER", str(number))
        assert run(code, pass_fds=[number]) == ["True False"]


def test_a_file_under_the_number_of_an_inherited_one_is_the_applications(tmp_path):
    (tmp_path / "data").touch()
    one, other = socket.socketpair()
    with one, other:
        number = one.fileno()
        code = f"f = os.dup2(os.open({str(tmp_path / 'data')!r}, 0), {number})"
        assert obstacle(code, pass_fds=[number]).endswith(f"{tmp_path / 'data'}")


def test_unreferenced_files_are_safe():
    code = """
        gc.disable()
        cycle = [socket.socket()]
        cycle.append(cycle)
        del cycle
    """
    assert obstacle(code) == ""


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


@both
def test_temporary_directory(look):
    """The first worker to exit would remove it for all."""
    code = """
        folder = tempfile.TemporaryDirectory()
        print(folder.name)
    """
    setup = "from django.conf import settings; settings.configure()\n"
    code = textwrap.dedent(code)
    order = [SNAPSHOT, code] if look is obstacle else [setup, code, SNAPSHOT]
    name, found = run("".join(order) + FIND)
    assert found == f"the application removes {name} at exit"


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
            "has created a multiprocessing lock, queue or pool",
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


SPAWN = "import multiprocessing; context = multiprocessing.get_context('spawn')\n"


@both
@pytest.mark.parametrize("code", ["context.Lock()", "context.Queue().qsize()"])
def test_the_tracker_of_a_lock_that_is_gone_is_stopped(look, code):
    """Importing Django-Q2 makes one; since Python 3.14 it has a tracker."""
    assert look(SPAWN + code) == ""


def test_a_lock_after_the_tracker_was_stopped_has_a_new_one():
    tracker = "multiprocessing.resource_tracker._resource_tracker"
    code = f"""
        before = fork_safety.snapshot()
        import multiprocessing.resource_tracker
        context = multiprocessing.get_context("spawn")
        context.Lock()
        first = {tracker}._pid
        print(fork_safety.find_obstacle(before))
        lock = context.Lock()
        print({tracker}._pid not in (first, None))
        print(fork_safety.find_obstacle(before))
        fork_safety.end_children(before.children)
        print(os.path.exists("/dev/shm" + lock._semlock.name.replace("/", "/sem.")))
    """
    found = "the application has created a multiprocessing lock, queue or pool"
    assert run(code) == ["", "True", found, "False"]


def test_a_tracker_that_would_remove_what_the_application_keeps_is_left():
    code = """
        from multiprocessing.shared_memory import SharedMemory
        memory = SharedMemory(create=True, size=1)
    """
    assert "has started a process" in obstacle(code)


def test_a_child_process_is_named():
    code = """
        import subprocess
        before = fork_safety.snapshot()
        child = subprocess.Popen(["sleep", "60"])
        print(fork_safety.find_obstacle(before), child.pid)
        fork_safety.end_children()
        print(fork_safety.find_obstacle(before) or "none")
    """
    found, left = run(code)
    name, pid = found.rsplit(" ", 1)
    assert name == f"the application has started a process (sleep, pid {pid})"
    assert left == "none"


def test_a_child_process_is_named_rather_than_the_tracker():
    """Since Python 3.14, importing Django-Q2 leaves one beside it."""
    code = """
        import multiprocessing.resource_tracker, subprocess
        before = fork_safety.snapshot()
        multiprocessing.resource_tracker.ensure_running()
        child = subprocess.Popen(["sleep", "60"])
        print(fork_safety.find_obstacle(before))
        fork_safety.end_children()
    """
    (found,) = run(code)
    assert found.startswith("the application has started a process (sleep, ")


def test_children_that_ignore_sigterm_are_killed():
    code = """
        import subprocess
        script = "trap '' TERM; echo; while :; do sleep 1; done"
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        child.stdout.readline()
        fork_safety.end_children(seconds=0.1)
        print(fork_safety.children() or "none")
    """
    assert run(code) == ["none"]


def test_inherited_children_are_no_obstacle_and_are_left_alone():
    """Those of ``sidecar & exec prodserver web``, which no object of Python knows."""
    code = """
        import subprocess
        sidecar = os.posix_spawnp("sleep", ["sleep", "60"], os.environ)
        early = subprocess.Popen(["sleep", "60"])
        from django.conf import settings; settings.configure()
        before = fork_safety.snapshot()
        print(fork_safety.find_obstacle(before).endswith(f"pid {early.pid})"))
        early.kill(), early.wait()
        helper = subprocess.Popen(["sleep", "60"])
        print(fork_safety.find_obstacle(before).endswith(f"pid {helper.pid})"))
        fork_safety.end_children(before.children)
        print(fork_safety.find_obstacle(before) or "none")
        print(os.waitpid(sidecar, os.WNOHANG))
        os.kill(sidecar, signal.SIGKILL)
    """
    assert run(code) == ["True", "True", "none", "(0, 0)"]


def test_what_the_server_has_opened_is_not_the_applications(tmp_path):
    code = f"""
        before = fork_safety.snapshot()
        before_server = fork_safety.everything()
        servers = open({str(tmp_path / "servers")!r}, "w")
        known = before.with_new(before_server, fork_safety.everything())
        print(fork_safety.find_obstacle(known) or "none")
        applications = open({str(tmp_path / "applications")!r}, "w")
        print(fork_safety.find_obstacle(known))
    """
    first, second = run(code)
    assert first == "none"
    assert str(tmp_path / "applications") in second
