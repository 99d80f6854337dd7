"""Writing log lines: complete, once, and without errors in the application."""

from __future__ import annotations

import contextlib
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

from django_prodserver.logs import context, handlers, output
from django_prodserver.logs.handlers import StdoutHandler, StreamToLog
from tests.harness import wait_for

#: A program that takes the lock of a descriptor, or exits with 1.
TAKE_LOCK = (
    "import fcntl, sys\n"
    "try: fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except BlockingIOError: sys.exit(1)"
)


def record(name: str = "shop", level: int = logging.INFO, message: str = "a line"):
    return logging.LogRecord(name, level, "", 0, message, (), None)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pipe in place of standard output."""
    reader, writer = os.pipe()
    monkeypatch.setattr(output, "STDOUT", writer)
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


def write_line(line: bytes, to: output.Output | None = None) -> None:
    (to or output.Output()).write(line, lambda lines, _: b"%d dropped\n" % lines)


def is_free(descriptor: int) -> bool:
    """Tell whether another process can take the lock."""
    taken = subprocess.run(
        [sys.executable, "-ISc", TAKE_LOCK, str(descriptor)],
        pass_fds=[descriptor],
        check=False,
    )
    return taken.returncode == 0


def locked_while_writing(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Write a line, and tell whether the descriptor was locked during the write."""
    free = []
    real = os.write

    def write(to: int, data: bytes) -> int:
        free.append(is_free(descriptor))
        return real(to, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        write_line(b"a line\n")
    assert len(free) == 1
    return not free[0]


def test_pipe_is_locked_while_a_line_is_written(pipe, monkeypatch):
    """Otherwise long lines of several workers could be mixed."""
    reader, writer = pipe
    assert locked_while_writing(writer, monkeypatch)
    assert os.read(reader, 100) == b"a line\n"
    assert is_free(writer)


def test_lock_is_released_after_a_broken_pipe(pipe, monkeypatch):
    _, writer = pipe

    def fail(to: int, data: bytes) -> int:
        raise BrokenPipeError

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(BrokenPipeError):
            write_line(b"a line\n")
    assert is_free(writer)


def test_files_are_not_locked(monkeypatch, tmp_path):
    """Unrelated programs may lock a terminal or /dev/null."""
    with (tmp_path / "log").open("wb") as file:
        monkeypatch.setattr(output, "STDOUT", file.fileno())
        assert not locked_while_writing(file.fileno(), monkeypatch)
    assert (tmp_path / "log").read_bytes() == b"a line\n"


def test_waits_for_a_full_non_blocking_pipe(pipe):
    reader, writer = pipe
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    data = bytes(range(256)) * 2000
    writing = threading.Thread(target=write_line, args=(data,))
    writing.start()
    received = b""
    while len(received) < len(data):
        received += os.read(reader, 100_000)
    writing.join(60)
    assert received == data


def fill(writer: int) -> int:
    """Fill a pipe; return how many bytes it has taken."""
    os.set_blocking(writer, False)
    size = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            size += os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    return size


class TestReaderThatStops:
    """A program that reads the log, and hangs, must not make the process hang."""

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> output.Output:
        monkeypatch.setattr(output, "PATIENCE", 0.05)
        return output.Output()

    def test_lines_are_dropped_and_counted(self, pipe, impatient):
        reader, writer = pipe
        size = fill(writer)
        for _ in range(3):
            write_line(b"lost\n", impatient)
        assert impatient.dropped == 3
        assert is_free(writer)
        while size:
            size -= len(os.read(reader, size))
        write_line(b"a line\n", impatient)
        assert os.read(reader, 1000) == b"3 dropped\na line\n"
        write_line(b"another\n", impatient)
        assert os.read(reader, 1000) == b"another\n"

    def test_a_line_waits_for_a_reader_that_is_slow(self, pipe, monkeypatch):
        reader, writer = pipe
        monkeypatch.setattr(output, "PATIENCE", 60)
        size = fill(writer)
        writing = threading.Thread(target=write_line, args=(b"a line\n",))
        writing.start()
        wait_for(lambda: _sleeps_in_poll(writing), "the line to wait")
        while size:
            size -= len(os.read(reader, size))
        writing.join(60)
        assert os.read(reader, 1000) == b"a line\n"

    def test_a_long_line_that_is_cut_is_ended_before_the_next(self, pipe, impatient):
        reader, writer = pipe
        size = fill(writer)
        size -= len(os.read(reader, 4096))
        write_line(b"y" * 5000, impatient)
        assert impatient.dropped == 1
        received = b""
        while len(received) < size + 4096:
            received += os.read(reader, 100_000)
        assert received == b"x" * size + b"y" * 4096
        write_line(b"a line\n", impatient)
        assert os.read(reader, 1000) == b"\n1 dropped\na line\n"

    def test_a_frozen_process_that_holds_the_lock_stops_nobody(self, pipe, impatient):
        reader, writer = pipe
        hold = f"{TAKE_LOCK}\nprint('taken', flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-ISc", hold, str(writer)],
            pass_fds=[writer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout
            assert holder.stdout.readline() == b"taken\n"
            write_line(b"a line\n", impatient)
            assert os.read(reader, 1000) == b"a line\n"
            holder.communicate()

    def test_the_report_is_a_line_of_the_log(self, pipe, monkeypatch):
        reader, writer = pipe
        monkeypatch.setattr(output, "PATIENCE", 0.05)
        monkeypatch.setattr(handlers, "_output", output.Output())
        size = fill(writer)
        StdoutHandler().handle(record())
        while size:
            size -= len(os.read(reader, size))
        StdoutHandler().handle(record())
        report, line = os.read(reader, 1000).splitlines()
        assert b" warning " in report
        assert b"prodserver: 1 log lines dropped, because " in report
        assert line.endswith(b"shop: a line")


def _sleeps_in_poll(thread: threading.Thread) -> bool:
    status = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "S"


class TestRecord:
    def test_is_one_line(self, pipe):
        StdoutHandler().handle(record())
        assert os.read(pipe[0], 1000).endswith(b"shop: a line\n")

    def test_formatting_error_is_reported(self, pipe, monkeypatch):
        handler = StdoutHandler()

        def fail(record: logging.LogRecord) -> str:
            raise RuntimeError("a bug")

        monkeypatch.setattr(handler, "format", fail)
        handler.handle(record())
        assert os.read(pipe[0], 1000) == b"cannot log a record of shop: RuntimeError\n"

    def test_broken_pipe_raises_nothing(self, monkeypatch):
        reader, writer = os.pipe()
        os.close(reader)
        monkeypatch.setattr(output, "STDOUT", writer)
        StdoutHandler().handle(record())
        os.close(writer)
        StdoutHandler().handle(record())

    def test_lone_surrogate_is_escaped(self, pipe):
        StdoutHandler().handle(record(message="a\ud800b"))
        assert b"a\\ud800b" in os.read(pipe[0], 1000)

    @pytest.mark.parametrize("one", [True, False])
    def test_ends_a_task_of_one_line(self, pipe, one):
        task = context.Task("1", "shop.mail")
        task.for_one_line = one
        token = context.task.set(task)
        try:
            StdoutHandler().handle(record())
            assert context.task.get() is (None if one else task)
        finally:
            context.task.reset(token)


class CustomHandler(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        """Send the record elsewhere."""


class TestWritesToConsole:
    @pytest.mark.parametrize("number", [1, 2])
    def test_standard_streams(self, number):
        with os.fdopen(number, "w", closefd=False) as stream:
            assert handlers.writes_to_console(logging.StreamHandler(stream))
            assert not handlers.writes_to_console(CustomHandler(stream))

    def test_other_streams(self, tmp_path):
        for stream in (io.StringIO(), None):
            handler = logging.StreamHandler(io.StringIO())
            handler.stream = stream  # type: ignore[assignment]
            assert not handlers.writes_to_console(handler)
        file = logging.FileHandler(tmp_path / "log")
        assert not handlers.writes_to_console(file)
        file.close()
        assert not handlers.writes_to_console(logging.NullHandler())

    def test_our_handler(self):
        assert handlers.writes_to_console(StdoutHandler())


@pytest.fixture
def console() -> Iterator[logging.Handler]:
    """A handler of the user that writes to standard error."""
    with os.fdopen(2, "w", closefd=False) as stream:
        yield logging.StreamHandler(stream)


@pytest.fixture
def child() -> Iterator[logging.Logger]:
    """A logger with a parent logger."""
    logger = logging.getLogger("prodserver_test.below")
    yield logger
    for each in (logger, logging.getLogger("prodserver_test")):
        each.handlers.clear()
        each.propagate = True


class TestHandlersOfTheUser:
    @pytest.mark.parametrize("name", ["prodserver_test", "prodserver_test.below"])
    def test_record_is_not_written_twice(self, console, child, name):
        logging.getLogger(name).addHandler(console)
        assert not StdoutHandler().filter(record(child.name))
        assert StdoutHandler().filter(record("prodserver_other"))

    def test_level_of_the_handler(self, console, child):
        console.setLevel(logging.WARNING)
        child.addHandler(console)
        assert StdoutHandler().filter(record(child.name))
        assert not StdoutHandler().filter(record(child.name, logging.WARNING))
        assert not StdoutHandler().filter(record(child.name, logging.ERROR))

    def test_filters_of_the_handler(self, console, child):
        console.addFilter(lambda record: False)
        child.addHandler(console)
        assert StdoutHandler().filter(record(child.name))

    def test_propagation(self, console, child):
        logging.getLogger("prodserver_test").addHandler(console)
        child.propagate = False
        assert StdoutHandler().filter(record(child.name))

    def test_our_handler_and_files_do_not_count(self, child, tmp_path):
        file = logging.FileHandler(tmp_path / "log")
        child.addHandler(file)
        child.addHandler(StdoutHandler())
        assert StdoutHandler().filter(record(child.name))
        file.close()


class RecordingHandler(StdoutHandler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class TestPrintedOutput:
    @pytest.fixture
    def recorder(self) -> RecordingHandler:
        return RecordingHandler()

    @pytest.fixture
    def stream(
        self, recorder: RecordingHandler, tmp_path: Path
    ) -> Iterator[StreamToLog]:
        with (tmp_path / "stream").open("w") as under:
            stream = StreamToLog("stdout", logging.INFO, under, recorder)
            yield stream
            stream.close()

    def test_each_line_is_a_record(
        self, recorder: RecordingHandler, stream: StreamToLog
    ) -> None:
        print("one\n\n  \ntwo", 3, file=stream)
        assert recorder.lines == ["one", "two 3"]
        assert {(r.name, r.levelno) for r in recorder.records} == {
            ("stdout", logging.INFO)
        }

    def test_partial_line_is_logged_once_complete(
        self, recorder: RecordingHandler, stream: StreamToLog
    ) -> None:
        assert stream.write("half") == 4
        assert recorder.lines == []
        assert stream.write(" a line\nrest") == 12
        assert recorder.lines == ["half a line"]
        stream.finish()
        stream.finish()
        assert recorder.lines == ["half a line", "rest"]

    def test_threads_do_not_mix_lines(
        self, recorder: RecordingHandler, stream: StreamToLog
    ) -> None:
        """Each thread has its own buffer."""
        stream.write("main ")
        other = threading.Thread(target=stream.write, args=("other\n",))
        other.start()
        other.join()
        stream.write("thread\n")
        assert recorder.lines == ["other", "main thread"]

    def test_percent_signs_are_kept(
        self, recorder: RecordingHandler, stream: StreamToLog
    ) -> None:
        print("100 %s", file=stream)
        assert recorder.lines == ["100 %s"]

    def test_output_of_a_handler_of_another_class_is_a_line(
        self, recorder: RecordingHandler, stream: StreamToLog
    ) -> None:
        class Own(logging.StreamHandler[StreamToLog]):
            def emit(self, record: logging.LogRecord) -> None:
                self.stream.write(f"own: {record.getMessage()}\n")

        Own(stream).handle(record(message="a record"))
        assert recorder.lines == ["own: a record"]

    def test_has_the_attributes_of_the_stream(
        self, stream: StreamToLog, tmp_path: Path
    ) -> None:
        assert stream.fileno() == stream.stream.fileno()
        assert stream.writable()
        assert not stream.isatty()
        assert (stream.encoding, stream.errors) == ("utf-8", "backslashreplace")
        assert stream.name == str(tmp_path / "stream")
