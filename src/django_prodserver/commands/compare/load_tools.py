"""Load generators: how to call each, and how to read what it prints."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from django_prodserver.exceptions import UnavailableError

#: Seconds after which a request counts as an error.
TIMEOUT = 30
#: Seconds that a tool may take beyond its burst: its last requests, and their timeout.
_SLACK = 60


class Burst(NamedTuple):
    """
    The result of one burst of requests.

    Args:
        rate: Requests per second.
        p99: The time within which 99 % of the requests were answered, in ms.
        errors: Responses other than 2xx or 3xx, and requests without a response.
    """

    rate: float
    p99: float
    errors: int


class LoadTool(ABC):
    """A load generator that is installed on this machine."""

    name: ClassVar[str]

    @abstractmethod
    def command(
        self, url: str, seconds: int, connections: int, headers: Mapping[str, str]
    ) -> list[str]:
        """Return the command of a burst; ``headers`` has "Host"."""

    @abstractmethod
    def parse(self, output: str) -> Burst:
        """
        Return the result that it printed.

        Raises:
            ValueError: There is none.
        """

    def run(
        self, url: str, seconds: int, connections: int, headers: Mapping[str, str]
    ) -> Burst:
        """
        Send requests for some seconds.

        Raises:
            UnavailableError: It failed, or printed no result.
        """
        command = self.command(url, seconds, connections, headers)
        # In its own session, so that Ctrl-C does not reach it before us.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds + _SLACK)
            except subprocess.TimeoutExpired:
                output = "it did not end"
            finally:
                process.kill()
        try:
            return self.parse(output)
        except ValueError:
            last = (output.strip().splitlines() or ["it printed nothing"])[-1]
            message = f"{self.name} measured nothing: {last}"
            raise UnavailableError(message, f"Try it: {' '.join(command)}") from None


class Wrk(LoadTool):
    """https://github.com/wg/wrk"""

    name = "wrk"

    def command(
        self, url: str, seconds: int, connections: int, headers: Mapping[str, str]
    ) -> list[str]:
        given = [word for pair in headers.items() for word in ("-H", ": ".join(pair))]
        options = ["--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
        return [self.name, *options, "--timeout", f"{TIMEOUT}s", *given, url]

    def parse(self, output: str) -> Burst:
        errors = sum(
            int(number)
            for line in re.findall(r"Socket errors: (.*)", output)
            for number in re.findall(r"\d+", line)
        )
        errors += int(_number(r"Non-2xx or 3xx responses: (\d+)", output, 0))
        found = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s|m)\b", output, re.MULTILINE)
        if not found:
            raise ValueError(output)
        in_ms = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}
        p99 = float(found[1]) * in_ms[found[2]]
        return Burst(_number(r"Requests/sec:\s+([\d.]+)", output), p99, errors)


class Hey(LoadTool):
    """https://github.com/rakyll/hey"""

    name = "hey"

    def command(
        self, url: str, seconds: int, connections: int, headers: Mapping[str, str]
    ) -> list[str]:
        options = ["-z", f"{seconds}s", "-c", str(connections), "-t", str(TIMEOUT)]
        options += ["-disable-redirects", "-host", headers["Host"]]
        for name, value in headers.items():
            if name != "Host":
                options += ["-H", f"{name}: {value}"]
        return [self.name, *options, url]

    def parse(self, output: str) -> Burst:
        statuses = re.findall(r"^\s+\[(\d{3})\]\s+(\d+) responses", output, re.M)
        errors = sum(int(count) for status, count in statuses if status >= "400")
        _, _, distribution = output.partition("Error distribution:")
        errors += sum(map(int, re.findall(r"^\s+\[(\d+)\]", distribution, re.M)))
        # It prints no 99 % for fewer than 100 responses.
        slowest = _number(r"Slowest:\s+([\d.]+)", output)
        p99 = _number(r"99%\S* in ([\d.]+) secs", output, slowest) * 1000
        return Burst(_number(r"Requests/sec:\s+([\d.]+)", output), p99, errors)


class ApacheBench(LoadTool):
    """https://httpd.apache.org/docs/2.4/programs/ab.html"""

    name = "ab"

    def command(
        self, url: str, seconds: int, connections: int, headers: Mapping[str, str]
    ) -> list[str]:
        given = [word for pair in headers.items() for word in ("-H", ": ".join(pair))]
        # -t sets -n to 50,000, so that -n comes after it; -l: pages vary in length.
        options = ["-q", "-k", "-l", "-r", "-s", str(TIMEOUT), "-t", str(seconds)]
        options += ["-n", "100000000", "-c", str(connections)]
        return [self.name, *options, *given, url]

    def parse(self, output: str) -> Burst:
        failed = _number(r"Failed requests:\s+(\d+)", output)
        errors = int(failed + _number(r"Non-2xx responses:\s+(\d+)", output, 0))
        p99 = _number(r"^\s+99%\s+(\d+)", output)
        return Burst(_number(r"Requests per second:\s+([\d.]+)", output), p99, errors)


TOOLS = (Wrk(), Hey(), ApacheBench())


def find() -> LoadTool:
    """
    Return the first load generator that is installed.

    Raises:
        UnavailableError: None is.
    """
    for tool in TOOLS:
        if shutil.which(tool.name):
            return tool
    names = ", ".join(tool.name for tool in TOOLS)
    raise UnavailableError(
        f"--compare needs a load generator, and none of {names} is installed.",
        "Install one: apt-get install wrk (Debian, Ubuntu), brew install wrk (macOS)",
    )


def _number(pattern: str, output: str, default: float | None = None) -> float:
    """Return the number that a pattern finds."""
    if found := re.search(pattern, output, re.MULTILINE):
        with contextlib.suppress(ValueError):
            return float(found[1])
    if default is None:
        raise ValueError(output)
    return default
