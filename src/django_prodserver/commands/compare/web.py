"""Measure the installed web servers in turn, in short bursts of requests."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from django.conf import settings

from django_prodserver.backends import addresses
from django_prodserver.commands.compare import advice, candidates, load_tools, memory
from django_prodserver.commands.compare.candidates import Candidate, LeftOut
from django_prodserver.commands.compare.child import (
    Child,
    Client,
    DidNotStart,
    StopLoad,
    environment,
    started,
)
from django_prodserver.commands.compare.interruption import Interruption
from django_prodserver.commands.compare.load_tools import LoadTool
from django_prodserver.commands.compare.results import Result, Row
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import UnavailableError, UsageError
from django_prodserver.process import bootstrap
from django_prodserver.process.entry import prodserver_command
from django_prodserver.process.executable import Program

#: Requests before the first burst, and the seconds that they may take: what a worker
#: loads with its first requests is not measured.
_WARM_UP_REQUESTS = 20
_WARM_UP_SECONDS = 1
#: Seconds for the start, the warm-up and the stop of one server, for the estimate
#: how long all of it takes.
_OVERHEAD = 4
#: The load average for each core above which the machine has other work.
_BUSY = 0.5

Say = Callable[[str], None]


class Comparison:
    """
    The comparison of one web process.

    Args:
        process: The process.
        paths: The pages to request.
        options: The options of the command line.
        entry: The project's entry, if that has started this process.
        say: What prints a line of progress.
        interruption: What a signal is noted in.
    """

    def __init__(
        self,
        process: Process,
        paths: Sequence[str],
        options: Mapping[str, Any],
        entry: Program | None,
        say: Say,
        interruption: Interruption,
    ) -> None:
        self.process = process
        self.entry = entry
        self.say = say
        self.interruption = interruption
        self.tool: LoadTool = load_tools.find()
        names = [name for name in (options.get("servers") or "").split(",") if name]
        found, left_out = candidates.find(process, names)
        if not found:
            why = "; ".join(f"{entry.name}: {entry.why}" for entry in left_out)
            message = f"There is no server to compare. {why}"
            raise UnavailableError(message, left_out[0].hint if left_out else "")
        self.headers = _headers()
        self.result = Result(
            process=process.name,
            tool=self.tool.name,
            cores=os.cpu_count() or 1,
            seconds=options["seconds"],
            rounds=options["rounds"],
            connections=options["connections"],
            memory=memory.kind(),
            pages=list(paths),
            rows=[Row(candidate, {page: [] for page in paths}) for candidate in found],
            left_out=left_out,
            warnings=warnings(),
            synchronous=_all_synchronous(paths),
        )

    def run(self) -> None:
        """Measure all servers; ``result`` has all results up to an interruption."""
        result = self.result
        for entry in result.left_out:
            self.say(f"left out: {entry.name}: {entry.why} {entry.hint}".rstrip())
        for warning in result.warnings:
            self.say(f"warning: {warning}")
        self.say(
            f"comparing {len(result.rows)} servers with {self.tool.name}, "
            f"rounds: {result.rounds}, about {self.expected_seconds()} s"
        )
        with tempfile.TemporaryDirectory(prefix="prodserver-compare-") as directory:
            try:
                for number in range(result.rounds):
                    self._round(number, Path(directory))
            except KeyboardInterrupt:
                result.interrupted = True
                self.say("interrupted: everything that was started has ended")
        result.advice = advice.give(result)

    def expected_seconds(self) -> int:
        bursts = len(self.result.pages) * self.result.seconds
        servers = len(self.result.rows) * self.result.rounds
        return servers * (bursts + _OVERHEAD)

    def _round(self, number: int, directory: Path) -> None:
        """Measure each server once; each round begins with another one."""
        turn = number % len(self.result.rows)
        for row in [*self.result.rows[turn:], *self.result.rows[:turn]]:
            self.say(f"round {number + 1}/{self.result.rounds}: {row.name}")
            try:
                self._measure(row, directory)
            except DidNotStart as error:
                self._leave_out(row, str(error))
        if not self.result.rows:
            message = f"No server could be measured. {self.result.left_out[-1].why}"
            hint = f"Start it alone: prodserver {self.process.name}"
            raise UnavailableError(message, hint)

    def _measure(self, row: Row, directory: Path) -> None:
        port = _free_port()
        client = Client(port, self.headers)
        pages = self.result.pages
        with started(
            self._command(row.candidate, port),
            environment(self.process.name, row.candidate.changes, directory),
            directory / "log",
            self.interruption,
        ) as child:
            first_answer = child.wait_until(
                lambda: client.answers(pages[0]), "the first response"
            )
            if not row.first_answers:
                self._check_pages(row, client)
            _warm_up(client, pages)
            bursts = {page: self._burst(port, page) for page in pages}
            used = child.memory()
            lost, has_stopped = _stop_under_load(row.candidate, child, client, pages[0])
        row.first_answers.append(first_answer)
        row.memories.append(used)
        row.lost.append(lost)
        row.stopped.append(has_stopped)
        for page, burst in bursts.items():
            row.bursts[page].append(burst)

    def _burst(self, port: int, page: str) -> load_tools.Burst:
        url = f"http://127.0.0.1:{port}{page}"
        result = self.result
        return self.tool.run(url, result.seconds, result.connections, self.headers)

    def _check_pages(self, row: Row, client: Client) -> None:
        """
        Look at the pages before they are measured.

        Raises:
            UsageError: A page is an error on the first server.
            DidNotStart: It is one on another server.
        """
        is_first = not any(row.first_answers for row in self.result.rows)
        for page in self.result.pages:
            try:
                status, location = client.get(page)
            except (OSError, HTTPException) as error:
                message = f"{page} has no response: {error}"
                raise DidNotStart(message) from None
            if status >= 400:
                message = f"{page} returns {status}"
                if not is_first:
                    raise DidNotStart(message)
                hint = "Give pages that return 200 without a login: --compare /about/"
                if status == 400:
                    hint = f"Is {self.headers['Host']!r} in ALLOWED_HOSTS?"
                raise UsageError(f"{message}, on {row.name}.", hint)
            if status >= 300 and is_first:
                where = f" to {location}" if location else ""
                warning = f"{page} returns {status}{where}, which is what is measured"
                self.result.warnings.append(warning)
                self.say(f"warning: {warning}")

    def _leave_out(self, row: Row, why: str) -> None:
        self.result.rows.remove(row)
        self.result.left_out.append(LeftOut(row.name, why))
        self.say(f"left out: {row.name}: {why}")

    def _command(self, candidate: Candidate, port: int) -> list[str]:
        # As a check of the address, too: nothing but loopback is ever measured.
        candidate.plan(self.process, port)
        words = candidate.address_words(self.process, port)
        return [*prodserver_command(self.entry), self.process.name, *words]


def _stop_under_load(
    candidate: Candidate, child: Child, client: Client, page: str
) -> tuple[int, bool]:
    """Return the requests that a stop lost, and whether it ended in time."""
    load = StopLoad(client, page)
    load.begin()
    has_stopped = child.stop(candidate.graceful_timeout + 10)
    load.end()
    return load.lost, has_stopped


def _warm_up(client: Client, pages: Sequence[str]) -> None:
    for page in pages:
        deadline = time.monotonic() + _WARM_UP_SECONDS
        for _ in range(_WARM_UP_REQUESTS):
            client.answers(page)
            if time.monotonic() > deadline:
                break


def _headers() -> dict[str, str]:
    """Return the headers with which a proxy would ask."""
    headers = {"Host": addresses.host_header()}
    # Otherwise SECURE_SSL_REDIRECT redirects every page.
    if secure := settings.SECURE_PROXY_SSL_HEADER:
        name, value = secure
        headers[name.removeprefix("HTTP_").replace("_", "-").title()] = value
    return headers


def warnings() -> list[str]:
    """Return why the numbers may mislead, before anything is measured."""
    found = []
    if settings.DEBUG:
        found.append("DEBUG is True: every server is slower than in production")
    if hasattr(os, "getloadavg"):
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > cores * _BUSY:
            found.append(
                f"this machine is busy (load average {load:.1f} on {cores} cores): "
                "the numbers will vary more than usual"
            )
    return found


def _all_synchronous(paths: Sequence[str]) -> bool | None:
    """Tell whether the views of all pages are synchronous; None if it is not known."""
    from django.urls import Resolver404, resolve

    bootstrap.set_up_django()
    try:
        views = [resolve(path.partition("?")[0]).func for path in paths]
    except Resolver404:
        return None
    kinds = {iscoroutinefunction(view) for view in views}
    return not kinds.pop() if len(kinds) == 1 else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
