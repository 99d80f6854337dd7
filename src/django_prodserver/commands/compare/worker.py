"""Measure a worker at several concurrencies, with a task of the project."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django_prodserver.backends import loader
from django_prodserver.backends.base import Backend, CommandBackend
from django_prodserver.backends.task_load import QUEUE, TaskLoad
from django_prodserver.commands.compare import memory, task_advice, web
from django_prodserver.commands.compare.candidates import Candidate
from django_prodserver.commands.compare.child import (
    Child,
    DidNotStart,
    environment,
    started,
)
from django_prodserver.commands.compare.interruption import Interruption
from django_prodserver.commands.compare.load_tools import Burst
from django_prodserver.commands.compare.results import Result, Row
from django_prodserver.config.argv import render
from django_prodserver.config.keys import Unsupported
from django_prodserver.config.processes import Changes, Process
from django_prodserver.exceptions import UnavailableError, UsageError
from django_prodserver.launch.plan import make_plan
from django_prodserver.process import bootstrap
from django_prodserver.process.entry import prodserver_command
from django_prodserver.process.executable import Program

#: Tasks from which the length of one is known before the first round.
_SAMPLE = 20
#: The fewest and the most tasks of a burst.
_FEWEST, _MOST = 20, 5_000
#: Seconds of a worker's own work for each task: a task that does nothing takes it.
_LEAST_RUNTIME = 0.004
#: Seconds without a finished task after which the rest counts as lost.
_PATIENCE = 30
#: Seconds for the two starts and stops of a worker, to say how long it takes.
_OVERHEAD = 8


class Comparison:
    """
    The comparison of one worker with itself, at several concurrencies.

    Args:
        process: The process.
        options: The options of the command line.
        entry: The project's entry, if that has started this process.
        say: What prints a line of progress.
        interruption: What a signal is noted in.
    """

    def __init__(
        self,
        process: Process,
        options: Mapping[str, Any],
        entry: Program | None,
        say: Callable[[str], None],
        interruption: Interruption,
    ) -> None:
        if not options["task"]:
            message = f"Which task should the worker {process.name!r} run?"
            raise UsageError(message, "Name one: --task shop.tasks.send_mail")
        self.process = process
        self.entry = entry
        self.say = say
        self.interruption = interruption
        plan = make_plan(process)
        plan.check()
        bootstrap.set_up_django()
        self.load = _task_load(plan.backend, plan.args)
        self.load.check_hosts()
        self.load.select(options["task"])
        self.graceful_timeout = float(
            plan.backend.resolve("GRACEFUL_TIMEOUT").value or 25
        )
        backend = plan.backend.as_command()
        self.has_concurrency = backend is not None and not isinstance(
            backend.keys.get("CONCURRENCY", Unsupported("")), Unsupported
        )
        cores = os.cpu_count() or 1
        values = options["concurrency"] or [n for n in (1, 2, 4, 8) if n <= cores * 2]
        self.result = Result(
            process=process.name,
            tool="tasks",
            cores=cores,
            seconds=options["seconds"],
            rounds=options["rounds"],
            connections=0,
            memory=memory.kind(),
            pages=[options["task"]],
            rows=[self._row(number, options["task"]) for number in values],
            left_out=[],
            warnings=web.warnings(),
            unit="tasks",
        )

    def run(self) -> None:
        """Measure every concurrency in turn."""
        result = self.result
        for warning in result.warnings:
            self.say(f"warning: {warning}")
        expected = len(result.rows) * result.rounds * (result.seconds + _OVERHEAD)
        self.say(
            f"running {result.pages[0]} on the queue {QUEUE!r}, "
            f"rounds: {result.rounds}, about {expected} s"
        )
        try:
            with tempfile.TemporaryDirectory(prefix="prodserver-compare-") as name:
                self._rounds(Path(name))
        except KeyboardInterrupt:
            result.interrupted = True
            self.say("interrupted: everything that was started has ended")
        except DidNotStart as error:
            hint = f"Start it alone: prodserver {self.process.name}"
            raise UnavailableError(f"The worker: {error}.", hint) from None
        finally:
            self.load.clear()
        result.advice = task_advice.give(result)

    def _rounds(self, directory: Path) -> None:
        rows = self.result.rows
        runtime = self._runtime(rows[0], directory)
        self.say(f"the task takes {runtime * 1000:.1f} ms")
        for number in range(self.result.rounds):
            turn = number % len(rows)
            for row in [*rows[turn:], *rows[:turn]]:
                self.say(f"round {number + 1}/{self.result.rounds}: {row.name}")
                self._measure(row, runtime, directory)

    def _row(self, number: int, task: str) -> Row:
        what = "concurrency" if self.has_concurrency else "processes:"
        backend = str(self.process.config["BACKEND"])
        changes = Changes({"LOG_FORMAT": "json", "LOG_LEVEL": "info"})
        candidate = Candidate(f"{what} {number}", backend, False, changes, number)
        return Row(candidate, {task: []})

    def _runtime(self, row: Row, directory: Path) -> float:
        """Return the seconds that one task takes."""
        self.load.clear()
        self.load.send(_SAMPLE)
        with self._workers(row, directory) as workers:
            done = workers.wait_for(_SAMPLE)
        if not done:
            message = f"The worker's log has no finished task within {_PATIENCE} s."
            raise UnavailableError(
                message, "Do the tasks fail, or does LOGGING hide them?"
            )
        runtimes = sorted(task["runtime"] for task in done.values())
        return float(runtimes[len(runtimes) // 2])

    def _measure(self, row: Row, runtime: float, directory: Path) -> None:
        workers_wanted = row.candidate.workers
        each = max(runtime, _LEAST_RUNTIME)
        number = math.ceil(self.result.seconds * workers_wanted / each)
        number = min(max(number, _FEWEST, workers_wanted * 4), _MOST)
        self.load.clear()
        # Before the start, so that the worker is measured rather than the sender.
        self.load.send(number)
        with self._workers(row, directory) as workers:
            done = workers.wait_for(number)
            used = workers.memory()
            row.first_answers.append(workers.first_task(done))
            # A stop in the middle of some more.
            self.load.send(workers_wanted * 4)
            workers.wait_for(number + 1)
            has_stopped = workers.stop(self.graceful_timeout + 10)
            stopped = workers.done()
        sent = number + workers_wanted * 4
        left = len(stopped)
        if left < sent:
            with self._workers(row, directory) as workers:
                left += len(workers.wait_for(sent - left))
        row.bursts[self.result.pages[0]].append(_burst(done))
        row.memories.append(used)
        row.lost.append(max(sent - left, 0))
        row.stopped.append(has_stopped)

    @contextlib.contextmanager
    def _workers(self, row: Row, directory: Path) -> Iterator[_Workers]:
        """Start one worker of that concurrency, or as many of one task at a time."""
        candidate = row.candidate
        backend = loader.load(candidate.changes.apply(self.process)).as_command()
        words = [*prodserver_command(self.entry), self.process.name]
        words += self._words(backend, candidate.workers) if backend else []
        copies = 1 if self.has_concurrency else candidate.workers
        with contextlib.ExitStack() as stack:
            children = [
                stack.enter_context(
                    started(
                        words,
                        environment(self.process.name, candidate.changes, directory),
                        directory / f"log-{number}",
                        self.interruption,
                    )
                )
                for number in range(copies)
            ]
            yield _Workers(children)

    def _words(self, backend: CommandBackend, number: int) -> list[str]:
        """Return the options that replace those of the settings: queue, concurrency."""
        given: dict[str, Any] = {"QUEUES": [QUEUE]}
        if self.has_concurrency:
            given["CONCURRENCY"] = number
        # Some translate a key only if it is set.
        changed = Changes(given).apply(self.process)
        set_backend = loader.load(changed).as_command() or backend
        options: dict[str, Any] = {}
        for key, value in given.items():
            options |= set_backend.translate(key, value)
        return [*render(options, backend.option_table), *self.load.words]


class _Workers:
    """Workers that are measured together, and the tasks in their logs."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children
        self._started = time.time()

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the finished tasks by ID, from the lines that the workers log."""
        found = {}
        for child in self.children:
            for line in child.log.read_text(errors="replace").splitlines():
                if '"runtime"' not in line:
                    continue
                with contextlib.suppress(ValueError):
                    fields = json.loads(line)
                    found[str(fields["task_id"])] = fields
        return found

    def wait_for(self, number: int) -> dict[str, dict[str, Any]]:
        """
        Return the finished tasks once there are so many, or no more come.

        Raises:
            DidNotStart: A worker has exited.
        """
        done = self.done()
        deadline = time.monotonic() + _PATIENCE
        while len(done) < number and time.monotonic() < deadline:
            for child in self.children:
                code = child.process.poll()
                if code is not None:
                    message = f"it exited with code {code}: {child.last_line()}"
                    raise DidNotStart(message)
            time.sleep(0.1)
            before, done = len(done), self.done()
            if len(done) > before:
                deadline = time.monotonic() + _PATIENCE
        return done

    def first_task(self, done: Mapping[str, Mapping[str, Any]]) -> float:
        """Return the seconds from the start to the first finished task."""
        return max(min(map(_finished, done.values()), default=0) - self._started, 0)

    def memory(self) -> float:
        return sum(child.memory() for child in self.children)

    def stop(self, timeout: float) -> bool:
        """Stop all of them at once; return whether they exited in time."""
        for child in self.children:
            child.process.terminate()
        exited = [child.wait_for_exit(timeout) for child in self.children]
        return all(exited)


def _task_load(backend: Backend, args: Sequence[str]) -> TaskLoad:
    if load := backend.task_load(args):
        return load
    message = f"--compare cannot send tasks to {type(backend).__name__}."
    hint = "It measures Celery's worker, and Django Tasks in the database."
    raise UsageError(message, hint)


def _burst(done: Mapping[str, Mapping[str, Any]]) -> Burst:
    """Return the tasks per second between the first and the last that finished."""
    times = sorted(map(_finished, done.values()))
    runtimes = sorted(float(task["runtime"]) for task in done.values())
    took = times[-1] - times[0] if len(times) > 1 else 0
    rate = (len(times) - 1) / took if took else 0.0
    p99 = runtimes[min(len(runtimes) * 99 // 100, len(runtimes) - 1)] * 1000
    failed = sum(task.get("state") == "failure" for task in done.values())
    return Burst(rate, p99, failed)


def _finished(task: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(task["time"]).timestamp()
