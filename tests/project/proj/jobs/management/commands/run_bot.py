"""A command that runs until it is stopped, in any of the usual ways."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from django_prodserver.health.heartbeat import beat


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("way")

    def handle(self, *args: Any, way: str, **options: Any) -> None:
        getattr(self, way)()

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def loop(self) -> None:
        """Know nothing of signals but Ctrl-C, and take a while to clean up."""
        self.say("running")
        try:
            while True:
                time.sleep(0.05)
        finally:
            self.hold()
            self.say("cleaned up")

    def beating(self) -> None:
        """Write a heartbeat, and hang as soon as a test wants it to."""
        self.say("running")
        while not (settings.DATA / "hang").exists():
            beat("ready")
            time.sleep(0.05)
        time.sleep(600)

    def handling(self) -> None:
        """Handle SIGTERM itself, and find the handlers as they are without us."""
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        received: list[int] = []

        def stop(signum: int, frame: FrameType | None) -> None:
            received.append(signum)

        assert signal.signal(signal.SIGTERM, stop) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is stop
        self.say("running")
        while not received:
            time.sleep(0.05)
        self.hold()
        self.say(f"received {received}")
        sys.exit(5)

    def asynchronous(self) -> None:
        """Have nothing but a coroutine, which a stop cancels."""
        asyncio.run(self.wait())

    async def wait(self) -> None:
        self.say("running")
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.say("cancelled")
            raise

    def listening(self) -> None:
        """Ask asyncio for SIGTERM."""
        asyncio.run(self.listen())

    async def listen(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        self.say("running")
        await stopped.wait()
        self.say("asyncio was told")

    def stubborn(self) -> None:
        """Ignore every stop, and leave a child."""
        subprocess.Popen(["sleep", "600"])
        self.say("running")
        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:
                self.say("ignored")

    def forking(self) -> None:
        """End a forked child with SIGTERM, whose handler it must not inherit."""
        context = multiprocessing.get_context("fork")
        child = context.Process(target=time.sleep, args=(600,))
        child.start()
        child.terminate()
        child.join()
        self.say(f"the child ended with {child.exitcode}")

    def early(self) -> None:
        """End by itself."""
        self.say(f"pid {os.getpid()}")

    def hold(self) -> None:
        self.say("stopping")
        while not (settings.DATA / "go").exists():
            time.sleep(0.05)
