"""
Run Hypercorn with forked workers and a graceful stop.

``hypercorn`` starts each worker as a new interpreter, which loads the application
again. When it stops several workers, it ends the others as soon as the first has
exited, whatever requests they hold. It exits with 0 when a worker was killed or
the application cannot be imported (measured with hypercorn 0.18).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any

from hypercorn.asyncio.run import asyncio_worker, uvloop_worker
from hypercorn.config import Config
from hypercorn.logging import Logger as NativeLogger
from hypercorn.run import run as native_run
from hypercorn.utils import write_pid_file

from django_prodserver.backends.hypercorn import shutdown
from django_prodserver.backends.hypercorn.logger import Logger
from django_prodserver.config.context import Context
from django_prodserver.logs.config import log
from django_prodserver.process.deadline import UNFINISHED
from django_prodserver.process.fork_safety import restore_signals_in_children
from django_prodserver.process.signals import STOP_SIGNALS, StopSignal

native: Any = import_module("hypercorn.__main__")

_WORKERS = {"asyncio": asyncio_worker, "uvloop": uvloop_worker}
# Clean exit codes: a worker killed by a stop signal had no handlers yet, and so no
# requests.
_CLEAN = (0, *(-signum for signum in STOP_SIGNALS))
# Seconds for a worker to exit after its graceful timeout.
_ENDING = 2.0


def main() -> int:
    """
    Serve until SIGTERM or SIGINT, then finish the requests in progress.

    Accepts the command line of ``hypercorn``.

    Returns:
        The exit code: 0 after a stop, 1 if requests were cut or a worker failed.
    """
    # Patches hypercorn, checked with 0.18: it starts workers differently
    # (https://github.com/pgjones/hypercorn/issues/71), and closes its listeners late
    # (https://github.com/pgjones/hypercorn/pull/128, closed).
    native.run = run
    code: int = native.main()
    return code


def run(config: Config) -> int:
    """
    Serve with this configuration; called in place of ``hypercorn.run.run``.

    ``--reload`` and trio's workers are left to Hypercorn.
    """
    if config.use_reloader or config.worker_class not in _WORKERS:
        return native_run(config)
    context = Context.from_environment() or Context()
    shutdown.install(context.threads)
    if not context.logs_natively:
        _use_our_logger(config)
    if config.workers == 0:  # a single process serves
        return native_run(config)
    if config.pid_path is not None:
        write_pid_file(config.pid_path)
    return Supervisor(config).run()


def _use_our_logger(config: Config) -> None:
    """Use our logger, unless the user has configured Hypercorn's logging."""
    configured = config.logconfig or config.logconfig_dict or config.statsd_host
    if config.logger_class is NativeLogger and not configured:
        config.logger_class = Logger


class Supervisor:
    """The parent of the workers: forks, replaces and stops them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sockets = config.create_sockets()
        self._workers: list[ForkProcess] = []
        self._stop = StopSignal()
        # Python runs signal handlers only after wait() returns; this pipe wakes it.
        self._wakeup, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._exit_code = 0

    def run(self) -> int:
        """Serve until a signal, or until a worker fails; return the exit code."""
        restore_signals_in_children()
        self._stop.listen()
        signal.signal(signal.SIGHUP, self._replace_workers)
        while not self._stop.received and not self._exit_code:
            self._start_missing_workers()
            self._wait()
            for worker in self._failed_workers():
                log(f"{_end_of(worker)}, stopping", logging.ERROR)
        self._close_listeners()
        self._stop_workers()
        return self._exit_code

    def _wait(self, seconds: float | None = None) -> None:
        """Wait for a worker to end, or for a signal."""
        sentinels = [worker.sentinel for worker in self._workers]
        if self._wakeup in wait([*sentinels, self._wakeup], seconds):
            os.read(self._wakeup, 1024)

    def _start_missing_workers(self) -> None:
        context = multiprocessing.get_context("fork")
        while len(self._workers) < self._config.workers and not self._stop.received:
            worker = context.Process(
                target=_WORKERS[self._config.worker_class],
                args=(self._config, self._sockets),
                daemon=self._config.daemon,
            )
            worker.start()
            self._workers.append(worker)

    def _replace_workers(self, signum: int, frame: FrameType | None) -> None:
        """Stop the workers gracefully; the loop in ``run`` starts new ones."""
        for worker in self._workers:
            worker.terminate()

    def _failed_workers(self) -> list[ForkProcess]:
        """Remove the workers that have exited, and return those that failed."""
        ended = [worker for worker in self._workers if worker.exitcode is not None]
        for worker in ended:
            self._workers.remove(worker)
        failed = [worker for worker in ended if worker.exitcode not in _CLEAN]
        if failed:
            self._exit_code = UNFINISHED
        return failed

    def _close_listeners(self) -> None:
        """Close the listeners of this process; the kernel then refuses new clients."""
        for listener in (
            *self._sockets.secure_sockets,
            *self._sockets.insecure_sockets,
            *self._sockets.quic_sockets,
        ):
            listener.close()

    def _stop_workers(self) -> None:
        """Stop the workers gracefully; kill those that miss the deadline."""
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + self._config.graceful_timeout + _ENDING
        while self._workers and not self._stop.force and time.monotonic() < deadline:
            self._wait(max(deadline - time.monotonic(), 0))
            self._failed_workers()
        for worker in self._workers:
            log(f"worker {worker.pid} does not exit, killing it", logging.ERROR)
            worker.kill()
            worker.join()
            self._exit_code = UNFINISHED


def _end_of(worker: ForkProcess) -> str:
    """Describe how a worker exited, for the log."""
    code = worker.exitcode or 0
    if code < 0:
        return f"worker {worker.pid} was killed by {signal.Signals(-code).name}"
    return f"worker {worker.pid} exited with code {code}"
