"""Where lines go: whole, once, and never in the way of what is logged."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_prodserver.logs import context, handlers
from django_prodserver.logs.handlers import StdoutHandler, StreamToLog

#: Takes the lock of a descriptor, or exits with 1.
TAKE = (
    "import fcntl, sys\n"
    "try: fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except BlockingIOError: sys.exit(1)"
)


def record(name: str = "shop", level: int = logging.INFO, message: str = "a line"):
    return logging.LogRecord(name, level, "", 0, message, (), None)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pipe in the place of standard output."""
    reader, writer = os.pipe()
    monkeypatch.setattr(handlers, "STDOUT", writer)
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


def is_free(descriptor: int) -> bool:
    """Tell whether another process can take the lock."""
    taken = subprocess.run(
        [sys.executable, "-ISc", TAKE, str(descriptor)],
        pass_fds=[descriptor],
        check=False,
    )
    return taken.returncode == 0


def locked_while_writing(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    found = []
    real = os.write

    def write(to: int, data: bytes) -> int:
        found.append(is_free(descriptor))
        return real(to, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        handlers.write(b"a line\n")
    assert len(found) == 1
    return not found[0]


def test_a_pipe_is_locked_for_a_line_and_no_longer(pipe, monkeypatch):
    """Or a long line of one worker would come between that of another."""
    reader, writer = pipe
    assert locked_while_writing(writer, monkeypatch)
    assert os.read(reader, 100) == b"a line\n"
    assert is_free(writer)


def test_the_lock_is_given_back_where_nobody_reads(pipe, monkeypatch):
    _, writer = pipe

    def fail(to: int, data: bytes) -> int:
        raise BrokenPipeError

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(BrokenPipeError):
            handlers.write(b"a line\n")
    assert is_free(writer)


def test_what_is_no_pipe_is_not_locked(monkeypatch, tmp_path):
    """Others lock a terminal or /dev/null, of whom we know nothing."""
    with (tmp_path / "log").open("wb") as file:
        monkeypatch.setattr(handlers, "STDOUT", file.fileno())
        assert not locked_while_writing(file.fileno(), monkeypatch)
    assert (tmp_path / "log").read_bytes() == b"a line\n"


def test_a_full_pipe_that_does_not_wait_is_waited_for(pipe):
    reader, writer = pipe
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    data = bytes(range(256)) * 2000
    writing = threading.Thread(target=handlers.write, args=(data,))
    writing.start()
    found = b""
    while len(found) < len(data):
        found += os.read(reader, 100_000)
    writing.join(60)
    assert found == data


class TestARecord:
    def test_is_a_line(self, pipe):
        StdoutHandler().handle(record())
        assert os.read(pipe[0], 1000).endswith(b"shop: a line\n")

    def test_that_cannot_be_formatted_is_told(self, pipe, monkeypatch):
        handler = StdoutHandler()

        def fail(record: logging.LogRecord) -> str:
            raise RuntimeError("a bug")

        monkeypatch.setattr(handler, "format", fail)
        handler.handle(record())
        assert os.read(pipe[0], 1000) == b"cannot log a line of shop: RuntimeError\n"

    def test_that_nobody_reads_ends_nothing(self, monkeypatch):
        reader, writer = os.pipe()
        os.close(reader)
        monkeypatch.setattr(handlers, "STDOUT", writer)
        StdoutHandler().handle(record())
        os.close(writer)
        StdoutHandler().handle(record())

    def test_with_half_a_surrogate(self, pipe):
        StdoutHandler().handle(record(message="a\ud800b"))
        assert b"a\\ud800b" in os.read(pipe[0], 1000)

    @pytest.mark.parametrize("one", [True, False])
    def test_ends_a_task_that_is_told_in_one_line(self, pipe, one):
        task = context.Task("1", "shop.mail")
        task.for_one_line = one
        token = context.task.set(task)
        try:
            StdoutHandler().handle(record())
            assert context.task.get() is (None if one else task)
        finally:
            context.task.reset(token)


class Own(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        """Send it elsewhere."""


class TestTheConsole:
    @pytest.mark.parametrize("number", [1, 2])
    def test_is_where_a_stream_leads(self, number):
        with os.fdopen(number, "w", closefd=False) as stream:
            assert handlers.writes_to_console(logging.StreamHandler(stream))
            assert not handlers.writes_to_console(Own(stream))

    def test_is_not_every_stream(self, tmp_path):
        for stream in (io.StringIO(), None):
            handler = logging.StreamHandler(io.StringIO())
            handler.stream = stream  # type: ignore[assignment]
            assert not handlers.writes_to_console(handler)
        file = logging.FileHandler(tmp_path / "log")
        assert not handlers.writes_to_console(file)
        file.close()
        assert not handlers.writes_to_console(logging.NullHandler())

    def test_is_ours_whatever_the_number(self):
        assert handlers.writes_to_console(StdoutHandler())


@pytest.fixture
def console() -> Iterator[logging.Handler]:
    """A handler of the user's, that writes to standard error."""
    with os.fdopen(2, "w", closefd=False) as stream:
        yield logging.StreamHandler(stream)


@pytest.fixture
def below() -> Iterator[logging.Logger]:
    """A logger that is below another one."""
    logger = logging.getLogger("prodserver_test.below")
    yield logger
    for each in (logger, logging.getLogger("prodserver_test")):
        each.handlers.clear()
        each.propagate = True


class TestWhatTheUsersHandlerHasWritten:
    @pytest.mark.parametrize("name", ["prodserver_test", "prodserver_test.below"])
    def test_is_not_written_again(self, console, below, name):
        logging.getLogger(name).addHandler(console)
        assert not StdoutHandler().filter(record(below.name))
        assert StdoutHandler().filter(record("prodserver_other"))

    def test_has_its_level(self, console, below):
        console.setLevel(logging.WARNING)
        below.addHandler(console)
        assert StdoutHandler().filter(record(below.name))
        assert not StdoutHandler().filter(record(below.name, logging.WARNING))
        assert not StdoutHandler().filter(record(below.name, logging.ERROR))

    def test_has_passed_its_filters(self, console, below):
        console.addFilter(lambda record: False)
        below.addHandler(console)
        assert StdoutHandler().filter(record(below.name))

    def test_has_come_so_far(self, console, below):
        logging.getLogger("prodserver_test").addHandler(console)
        below.propagate = False
        assert StdoutHandler().filter(record(below.name))

    def test_is_not_what_ours_or_a_file_has(self, below, tmp_path):
        file = logging.FileHandler(tmp_path / "log")
        below.addHandler(file)
        below.addHandler(StdoutHandler())
        assert StdoutHandler().filter(record(below.name))
        file.close()


class Kept(StdoutHandler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class TestWhatIsPrinted:
    @pytest.fixture
    def kept(self) -> Kept:
        return Kept()

    @pytest.fixture
    def stream(self, kept: Kept, tmp_path: Path) -> Iterator[StreamToLog]:
        with (tmp_path / "stream").open("w") as under:
            stream = StreamToLog("stdout", logging.INFO, under, kept)
            yield stream
            stream.close()

    def test_is_a_record_each_line(self, kept: Kept, stream: StreamToLog) -> None:
        print("one\n\n  \ntwo", 3, file=stream)
        assert kept.lines == ["one", "two 3"]
        assert {(r.name, r.levelno) for r in kept.records} == {("stdout", logging.INFO)}

    def test_is_told_once_its_line_ends(self, kept: Kept, stream: StreamToLog) -> None:
        assert stream.write("half") == 4
        assert kept.lines == []
        assert stream.write(" a line\nrest") == 12
        assert kept.lines == ["half a line"]
        stream.finish()
        stream.finish()
        assert kept.lines == ["half a line", "rest"]

    def test_is_no_others_half(self, kept: Kept, stream: StreamToLog) -> None:
        """Each thread has its own line."""
        stream.write("main ")
        other = threading.Thread(target=stream.write, args=("other\n",))
        other.start()
        other.join()
        stream.write("thread\n")
        assert kept.lines == ["other", "main thread"]

    def test_may_hold_percent_signs(self, kept: Kept, stream: StreamToLog) -> None:
        print("100 %s", file=stream)
        assert kept.lines == ["100 %s"]

    def test_is_left_as_it_is_where_a_handler_of_logging_writes(
        self, kept: Kept, stream: StreamToLog, tmp_path: Path
    ) -> None:
        logging.StreamHandler(stream).handle(record(message="in its own form"))
        assert (tmp_path / "stream").read_text() == "in its own form\n"
        assert kept.lines == []

    def test_has_a_stream_for_those_who_ask(
        self, stream: StreamToLog, tmp_path: Path
    ) -> None:
        assert stream.fileno() == stream.stream.fileno()
        assert stream.writable()
        assert not stream.isatty()
        assert (stream.encoding, stream.errors) == ("utf-8", "backslashreplace")
        assert stream.name == str(tmp_path / "stream")
