"""What the launcher writes down, and when the probe believes it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from django_prodserver.health import state
from django_prodserver.health.state import State
from tests.harness import wait_for

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
EVERYTHING = {
    "backend": "shop.Server",
    "addresses": ("tcp://[::1]:8000", "unix:///run/a b=c.sock"),
    "tls": True,
    "host": "shop.example",
    "path": "/-/ready?a=b",
    "max_age": 2.5,
}


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with the usual folders, and none of them the real ones."""
    monkeypatch.delenv("PRODSERVER_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("PROCESS_NAME", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(state, "_SYSTEM", str(tmp_path / "run"))
    monkeypatch.setattr(state, "_MEMORY", str(tmp_path / "shm"))
    monkeypatch.setattr(state, "_TEMPORARY", str(tmp_path / "tmp"))
    (tmp_path / "shm").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.fixture
def process():
    """A process that does nothing."""
    started = subprocess.Popen(SLEEP)
    yield started
    started.kill()
    started.wait()


def own(folder: Path) -> Path:
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return folder / f"prodserver-{os.geteuid()}-{namespace}"


def written(**kwargs) -> Path:
    file = state.write(State("web", "web", **kwargs))
    assert file
    return Path(file)


def read(file: Path) -> State:
    found = state.read(str(file))
    assert found
    return found


# The file


def test_what_is_written_is_read():
    found = read(written(**EVERYTHING))
    assert vars(found) | EVERYTHING == vars(found)
    assert (found.name, found.kind, found.pid) == ("web", "web", os.getpid())


def test_it_is_lines_of_text():
    text = written(addresses=("tcp://127.0.0.1:1", "unix:///a"), host="h").read_text()
    assert text.startswith(f"name=web\nkind=web\npid={os.getpid()}\nstart=")
    assert "address=tcp://127.0.0.1:1\naddress=unix:///a\ntls=0\nhost=h\n" in text


def test_a_key_of_a_later_version_is_passed_over():
    file = written(**EVERYTHING)
    file.write_text(file.read_text() + "colour=blue\nnothing\n")
    assert read(file).host == "shop.example"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("pid=", "pid=x", id="pid"),
        pytest.param("max_age=", "max_age=x", id="number"),
        pytest.param("kind=web\n", "", id="no-kind"),
        pytest.param("name=web", "name=web2", id="another-name"),
        pytest.param("namespace=", "", id="cut"),
    ],
)
def test_what_is_no_state_is_none(old, new):
    file = written()
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert state.read(str(file)) is None


def test_neither_is_a_missing_file_a_pipe_a_folder_or_a_link(tmp_path):
    file = written()
    assert state.read(str(file.with_name("other.state"))) is None
    moved = file.rename(tmp_path / "web.state")
    assert state.read(str(moved))
    file.symlink_to(moved)
    assert state.read(str(file)) is None
    file.unlink()
    os.mkfifo(file)
    assert state.read(str(file)) is None
    file.unlink()
    file.mkdir()
    assert state.read(str(file)) is None


def test_the_file_of_another_user_is_not_believed(monkeypatch):
    file = written()
    owner = file.stat().st_uid
    # Root's is believed by all, and root believes the process's own.
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert (state.read(str(file)) is None) == (owner != 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state.read(str(file))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_a_third_user_is_not_believed(monkeypatch):
    file = written()
    os.chown(file, 4711, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4712)
    assert state.read(str(file)) is None
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert state.read(str(file))
    # Root's probe believes who runs the process, which is not user 4711.
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state.read(str(file)) is None
    os.chown(file, 0, -1)
    assert state.read(str(file))


def test_only_its_owner_can_read_it():
    before = os.umask(0)
    try:
        file = written()
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_reader_never_sees_half_of_it(monkeypatch):
    """Until all of the new file is there, the old one is."""
    file = written(host="old")
    seen = []

    def looking(function):
        def look(*args):
            result = function(*args)
            seen.append("host=old\n" in file.read_text())
            return result

        return look

    with monkeypatch.context() as context:
        for name in ("open", "write", "close"):
            context.setattr(os, name, looking(getattr(os, name)))
        written(host="new")
    assert len(seen) >= 3
    assert all(seen)
    assert read(file).host == "new"
    assert list(file.parent.iterdir()) == [file]


def test_what_an_earlier_start_left_unfinished_does_not_hinder():
    file = written()
    (file.parent / f".web.{os.getpid()}").write_text("half")
    assert written(host="b") == file
    assert read(file).host == "b"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_of_an_earlier_release_is_read():
    """It had a key "header", which nothing read; a later one may have others."""
    file = written(host="shop.example")
    with file.open("a") as end:
        end.write("header=X-Forwarded-Proto: https\nlater=1\n")
    found = state.read(str(file))
    assert found
    assert found.host == "shop.example"


@pytest.mark.parametrize("name", ["web", "1", "a.b_c-d", "x" * 100])
def test_names(name):
    assert state.is_name(name)
    assert state.write(State(name, "web"))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "é", "²", "x" * 101]
)
def test_what_is_no_name(name):
    assert not state.is_name(name)
    with pytest.raises(ValueError, match="is not a valid process name"):
        state.write(State(name, "web"))


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\u2028b"], ids=ascii)
@pytest.mark.parametrize("key", ["host", "path", "backend", "addresses"])
def test_a_value_is_one_line(key, value, machine):
    wrong = State("web", "web")
    setattr(wrong, key, (value,) if key == "addresses" else value)
    with pytest.raises(ValueError, match="is not one line of text"):
        state.write(wrong)
    assert not list(machine.rglob("*.state"))


# The folder


def test_the_folder_is_the_one_that_is_given(machine, monkeypatch):
    (machine / "run").mkdir()
    # Made, and a slash at its end means nothing.
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", f"{machine}/given/")
    assert state.runtime_directory() == f"{machine}/given"
    assert written() == machine / "given/web.state"
    assert stat.S_IMODE((machine / "given").stat().st_mode) == 0o700


def test_else_it_is_the_systems_if_that_is_there(machine):
    assert state.runtime_directory() == str(own(machine / "shm"))
    (machine / "run").mkdir()
    assert state.runtime_directory() == f"{machine}/run"
    assert written() == machine / "run/web.state"


def test_else_one_of_our_own_in_memory(machine):
    assert written() == own(machine / "shm") / "web.state"


def test_else_one_among_the_temporary_files(machine, monkeypatch):
    (machine / "shm").rmdir()
    assert written() == own(machine / "tmp") / "web.state"
    monkeypatch.setenv("TMPDIR", str(machine))
    assert written() == own(machine) / "web.state"


def test_a_folder_that_cannot_be_written_is_passed_over(machine, monkeypatch):
    # Not even by root.
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", "/proc/given")
    monkeypatch.setattr(state, "_SYSTEM", "/proc/self")
    assert state.runtime_directory() == str(own(machine / "shm"))
    assert written() == own(machine / "shm") / "web.state"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_does_not_fit_is_not_left_there(machine, monkeypatch):
    """A full device takes a part, and says so only by the number of bytes."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:10]))
    assert state.write(State("web", "web")) is None
    assert not list(machine.rglob("*.state"))


def test_where_nothing_can_be_written_there_is_none(monkeypatch):
    for name in ("_SYSTEM", "_MEMORY", "_TEMPORARY"):
        monkeypatch.setattr(state, name, "/proc")
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", "/proc/nothing")
    assert state.runtime_directory() is None
    assert state.write(State("web", "web")) is None
    found, reason = state.find()
    assert found is None
    assert reason.startswith("there is no state file of a running process; looked in ")
    assert "/proc/nothing, /proc, " in reason


def another_users(folder, monkeypatch):
    folder.mkdir()
    real = os.lstat

    def lstat(path):
        found = real(path)
        uid = found.st_uid + (path == str(folder))
        return os.stat_result([*found[:4], uid, *found[5:]])

    monkeypatch.setattr(os, "lstat", lstat)


def a_link(folder, monkeypatch):
    folder.with_name("elsewhere").mkdir()
    folder.symlink_to(folder.with_name("elsewhere"))


def open_to_others(folder, monkeypatch):
    folder.mkdir()
    folder.chmod(0o777)


def open_to_a_group(folder, monkeypatch):
    folder.mkdir()
    folder.chmod(0o770)


@pytest.mark.parametrize(
    "trap", [another_users, a_link, open_to_others, open_to_a_group]
)
def test_a_folder_that_another_may_have_laid_out_is_passed_over(
    trap, machine, monkeypatch
):
    file = written()
    assert file.parent == own(machine / "shm")
    file.rename(machine / "web.state")
    file.parent.rmdir()
    with monkeypatch.context() as context:
        trap(file.parent, context)
        (machine / "web.state").rename(file)
        assert state.find("web")[0] is None
        with monkeypatch.context() as other:
            other.setattr(state, "_TEMPORARY", "/proc")
            assert state.runtime_directory() is None
            assert state.write(State("web", "web")) is None


def test_what_is_no_folder_is_passed_over(machine, monkeypatch):
    own(machine / "shm").touch()
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(own(machine / "shm")))
    assert written() == own(machine / "tmp") / "web.state"


def test_containers_that_share_a_folder_do_not_share_a_file(machine, monkeypatch):
    mine = written()
    monkeypatch.setattr(state, "_pid_namespace", lambda: "4026539999")
    assert state.find("web")[0] is None
    assert written() != mine
    assert mine.exists()


# Whether it is believed


def test_it_is_believed_while_the_process_runs(process):
    found = read(written(pid=process.pid))
    assert found.condition() == "running"
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: found.condition() == "stopped", "stopped")
    assert found.exists()
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: found.condition() == "running", "running")
    process.kill()
    # A zombie, which nobody has waited for.
    wait_for(lambda: found.condition() == "gone", "gone")
    process.wait()
    assert found.condition() == "gone"
    assert not found.exists()


def test_another_process_with_its_pid_is_another(process):
    file = written(pid=process.pid)
    begun = f"\nstart={read(file).start}\n"
    file.write_text(file.read_text().replace(begun, "\nstart=1\n"))
    assert read(file).condition() == "gone"


@pytest.mark.parametrize("part", [0, 1], ids=["boot", "container"])
def test_its_pid_means_nothing_elsewhere(part):
    file = written()
    old = read(file).namespace
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert old == f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    other = old.split("/")
    other[part] = "other"
    file.write_text(file.read_text().replace(old, "/".join(other)))
    assert read(file).condition() == "elsewhere"
    assert not read(file).exists()


@pytest.mark.parametrize("name", ["sleep", "a) S 1 (b"])
def test_it_knows_when_a_process_began(name, tmp_path):
    """Whatever that is called: the kernel puts its name before the date."""
    script = tmp_path / name
    script.symlink_to("/bin/sleep")
    with subprocess.Popen([script, "60"]) as started:
        command = Path(f"/proc/{started.pid}/comm")
        wait_for(lambda: command.read_text() == f"{name}\n", "the exec")
        found = read(written(pid=started.pid))
        assert found.condition() == "running"
        assert int(found.start) > int(read(written()).start) > 0
        started.kill()
    assert found.condition() == "gone"


def test_it_is_the_same_process_after_an_exec(machine):
    code = (
        "import os; from django_prodserver.health.state import *;"
        "write(State('web', 'web')); os.execvp('sleep', ['sleep', '60'])"
    )
    env = os.environ | {"PRODSERVER_RUNTIME_DIR": str(machine / "given")}
    file = machine / "given/web.state"
    with subprocess.Popen([sys.executable, "-c", code], env=env) as started:
        command = Path(f"/proc/{started.pid}/cmdline")
        wait_for(lambda: command.read_bytes().startswith(b"sleep"), "the exec")
        assert read(file).condition() == "running"
        started.kill()
    assert read(file).condition() == "gone"


def test_without_proc_the_pid_must_do(process, monkeypatch):
    monkeypatch.setattr(state, "_PROC", "/nowhere")
    found = read(written(pid=process.pid))
    assert (found.start, found.namespace) == ("", "/")
    assert found.directory.endswith(f"/prodserver-{os.geteuid()}")
    assert found.condition() == "running"
    process.kill()
    process.wait()
    assert found.condition() == "gone"


# Which one


def start(name: str, **kwargs) -> State:
    started = State(name, "web", **kwargs)
    assert state.write(started)
    return started


def found(name: str = "") -> str:
    which, reason = state.find(name)
    return which.name if which else reason


def test_the_one_that_is_named(monkeypatch):
    start("web")
    start("worker", pid=os.getppid())
    monkeypatch.setenv("PROCESS_NAME", "worker")
    assert found("web") == "web"
    assert found() == "worker"
    assert found("beat").startswith("there is no state file of beat; looked in ")


def test_the_only_one_that_runs():
    assert "there is no state file of a running process" in found()
    start("release", start="1")
    assert "there is no state file of a running process" in found()
    start("web")
    assert found() == "web"
    start("worker", pid=os.getppid())
    assert found() == "several processes are running, name one of them: web, worker"


def test_a_second_start_does_not_replace_the_first(process):
    """It may fail, because the port is in use; or take over, once the first ends."""
    first = Path(state.write(State("web", "web", pid=process.pid)) or "")
    second = Path(state.write(State("web", "web")) or "")
    assert first.name == "web.state"
    assert second.name == f"web@{os.getpid()}.state"
    assert found_pids() == [process.pid] * 2
    own = read(second)
    own.drain()
    assert own.draining()
    assert not read(first).draining()
    process.send_signal(signal.SIGSTOP)
    assert found_pids() == [process.pid] * 2
    process.kill()
    process.wait()
    assert found_pids() == [os.getpid()] * 2
    third = state.write(State("web", "web", pid=os.getppid()))
    assert third == str(second.with_name(f"web@{os.getppid()}.state"))


def found_pids() -> list[int]:
    """Return the process that is found by its name, and as the only one."""
    states = [state.find(name)[0] for name in ("web", "")]
    return [each.pid for each in states if each]


def test_what_a_second_start_has_left_is_removed_by_the_next(process, machine):
    first = Path(state.write(State("web", "web")) or "")
    second = Path(state.write(State("web", "web", pid=process.pid)) or "")
    read(second).drain()
    process.kill()
    process.wait()
    assert found_pids() == [os.getpid()] * 2
    assert written() == first
    assert sorted(file.name for file in first.parent.iterdir()) == ["web.state"]


@pytest.mark.parametrize(
    ("key", "value"), [("path", "/a HTTP/1.1"), ("host", "a\rX: 1"), ("path", "/\x00")]
)
def test_a_state_holds_no_second_request(key, value):
    file = written(path="/", host="a")
    text = file.read_text()
    lines = [
        f"{key}={value}" if s.startswith(f"{key}=") else s for s in text.split("\n")
    ]
    file.write_text("\n".join(lines), newline="")
    assert state.read(str(file)) is None


def test_one_that_is_named_has_ended():
    """Which is an answer, and not a reason to look for others."""
    start("web", start="1")
    start("worker")
    assert found("web") == "web"


def test_process_name_is_of_the_image_and_the_command_line_wins(monkeypatch):
    """``docker run IMAGE worker``, in whose Dockerfile is PROCESS_NAME=web."""
    monkeypatch.setenv("PROCESS_NAME", "web")
    start("worker")
    assert found() == "worker"
    start("web", namespace="another")
    assert found() == "worker"
    start("web", start="1")
    assert found() == "web"


@pytest.mark.parametrize("name", ["../web", "a/b", " "])
def test_a_process_name_that_is_none_finds_nothing_odd(name, monkeypatch):
    start("web")
    monkeypatch.setenv("PROCESS_NAME", name)
    assert found() == "web"


def test_one_that_runs_is_found_behind_one_that_has_ended(machine, monkeypatch):
    """Of two users, or after a change of the folder."""
    start("web")
    (machine / "run").mkdir()
    for ended in ("1", "2"):
        start("web", start=ended, namespace="another" if ended == "2" else None)
        which, _ = state.find("web")
        assert which
        assert which.exists()
    monkeypatch.setattr(state, "_MEMORY", "/nowhere")
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(machine / "given"))
    start("web", start="3")
    which, _ = state.find("web")
    assert which
    assert which.start == "3"


def test_a_folder_that_cannot_be_read_is_passed_over(machine, monkeypatch):
    start("web")
    (machine / "run").mkdir()
    real = os.listdir

    def listdir(folder):
        if folder == f"{machine}/run":
            raise PermissionError
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    assert found() == "web"


def test_a_folder_with_two_names_counts_once(machine, monkeypatch):
    start("web")
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(own(machine / "shm")))
    assert found() == "web"
    (machine / "link").symlink_to(own(machine / "shm"))
    monkeypatch.setenv("PRODSERVER_RUNTIME_DIR", str(machine / "link"))
    assert found() == "web"


# Draining


def test_a_marker_says_that_it_drains():
    file = written()
    assert not read(file).draining()
    read(file).drain()
    assert read(file).draining()
    assert (file.parent / "web.draining").stat().st_mode & 0o777 == 0o644
    read(file).drain()
    (file.parent / "web.draining").unlink()
    assert not read(file).draining()
    assert list(file.parent.iterdir()) == [file]


def test_the_marker_of_another_does_not():
    file = written()
    assert state.write(State("worker", "worker"))
    read(file.parent / "worker.state").drain()
    assert not read(file).draining()
    (file.parent / "worker.draining").rename(file.parent / "web.draining")
    assert read(file).draining(), "of the same run, which is all that it says"


@pytest.mark.parametrize("of", ["pid", "start", "namespace"])
def test_the_marker_of_another_run_does_not(of):
    """Whatever the clock says; the pid alone is soon another process's."""
    file = written()
    earlier = read(file)
    setattr(earlier, of, 1 if of == "pid" else "1")
    earlier.drain()
    marker = file.parent / "web.draining"
    os.utime(marker, (2**32, 2**32))
    assert not read(file).draining()


@pytest.mark.parametrize("content", [b"", b"\xff", b"1"])
def test_a_marker_that_says_nothing_does_not(content):
    file = written()
    (file.parent / "web.draining").write_bytes(content)
    assert not read(file).draining()


def test_a_marker_that_cannot_be_written():
    found = read(written())
    found.directory = "/nowhere"
    with pytest.raises(OSError, match="No such file"):
        found.drain()
