"""Samples of a terminal: their commands are run, and what they say is compared."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from docs._ext.facts import ROOT
from tests import harness
from tests.harness import Running

ELSEWHERE = "# in another terminal"
STOPPED = "^C"
#: Of these a first answer may come too early, and asking again changes nothing.
_QUESTIONS = ("curl ", "prodserver-probe")


@dataclass
class Command:
    """A command, and the lines that the page says it prints."""

    words: str
    output: list[str] = field(default_factory=list)
    #: What it prints once it is stopped; None of one that ends by itself.
    after: list[str] | None = None
    #: Those that are run while it goes on.
    meanwhile: list[Command] = field(default_factory=list)


class WrongSample(Exception):
    """A sample does not do what the page says."""


def commands(source: str) -> list[Command]:
    """
    Return the commands of a sample.

    Raises:
        WrongSample: It begins with something else.
    """
    found: list[Command] = []
    current: list[Command] = found
    for line in source.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            current.append(Command(line[2:]))
        elif not current:
            message = f"no command before {line!r}"
            raise WrongSample(message)
        elif line.startswith("> ") and not current[-1].output:
            current[-1].words += f"\n{line[2:]}"
        elif line == ELSEWHERE:
            current = found[-1].meanwhile
        elif line == STOPPED:
            found[-1].after = []
            current = found
        elif current is found and found[-1].after is not None:
            found[-1].after.append(line)
        else:
            current[-1].output.append(line)
    for command in found:
        if command.meanwhile and command.after is None:
            message = f"{command.words!r} is never stopped: write {STOPPED}"
            raise WrongSample(message)
    return found


def run(
    command: Command, folder: Path, env: Mapping[str, str], port: int = 8000
) -> None:
    """
    Run a command that ends by itself.

    What it prints is to have the port of the page, 8000, and not that one.

    Raises:
        WrongSample: It prints something else, or fails without a word of it.
    """
    if command.words.startswith("python -m pip install "):
        _look_for_requirements(command)
        return
    question = command.words.startswith(_QUESTIONS)

    def said() -> str:
        done = subprocess.run(
            _shell(command),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if command.output:
            output = _with_port(done.stdout, port)
            return "" if _matches(command.output, output) else output or "-"
        return f"{done.stdout}exit code {done.returncode}" if done.returncode else ""

    printed = said()
    if printed and question:
        try:
            harness.wait_for(lambda: not said(), command.words, 30)
            return
        except AssertionError:
            printed = said()
    if printed:
        raise WrongSample(_report(command, command.output, printed))


def run_and_stop(
    command: Command, folder: Path, env: Mapping[str, str], port: int
) -> None:
    """
    Run a command that goes on, do what is done meanwhile, and stop it.

    What it prints is to have the port of the page, 8000, and not that one.

    Raises:
        WrongSample: It, or what is done meanwhile, prints something else.
    """
    log = Path(folder, "terminal.log")
    log.unlink(missing_ok=True)
    process = Running(_shell(command), env, log, folder)

    def output() -> str:
        return _with_port(process.output, port)

    def begins(lines: list[str], more: str = "") -> bool:
        return bool(re.match(f"{_pattern(lines)}(\n|$){more}", output()))

    try:
        process.until(lambda: begins(command.output), "its output")
        for other in command.meanwhile:
            run(other, folder, env, port)
        # As a terminal does: to all that is in it.
        process.signal_all(signal.SIGINT)
        process.exits()
    except AssertionError as error:
        raise WrongSample(_report(command, command.output, str(error))) from None
    finally:
        process.kill()
    after = command.after or []
    # Not its last words: a server may say more of its end when the machine is busy.
    rest = rf"(.|\n)*?{_pattern(after)}(\n|$)" if after else ""
    if not begins(command.output, rest):
        expected = [*command.output, STOPPED, *after]
        raise WrongSample(_report(command, expected, output()))


def _shell(command: Command) -> list[str]:
    # "exec": what is started is what gets the signal.
    return ["bash", "-c", command.words]


def _with_port(text: str, port: int) -> str:
    return re.sub(rf"\b{port}\b", "8000", text)


def _matches(lines: list[str], printed: str) -> bool:
    return bool(re.fullmatch(_pattern(lines), _trimmed(printed)))


def _pattern(lines: list[str]) -> str:
    escaped = re.escape("\n".join(line.rstrip() for line in lines).strip("\n"))
    return escaped.replace(r"\.\.\.", r"(?:.|\n)*?")


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _report(command: Command, expected: list[str], printed: str) -> str:
    said = "\n".join(expected) or "(nothing that is compared)"
    return f"$ {command.words}\nthe page says:\n{said}\nit is:\n{printed.rstrip()}"


def _look_for_requirements(command: Command) -> None:
    """See that what pip is to install exists here: there may be no network."""
    words = shlex.split(command.words)[4:]
    for word in words:
        if not word.startswith("-"):
            _look_for(command, Requirement(word))


def _look_for(command: Command, wanted: Requirement) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = wanted.name == project["name"]
    for extra in wanted.extras if own else ():
        if extra not in project["optional-dependencies"]:
            message = f"$ {command.words}\nthere is no extra {extra!r}"
            raise WrongSample(message)
    try:
        release = version(wanted.name)
    except PackageNotFoundError:
        message = f"$ {command.words}\n{wanted.name} is not installed here"
        raise WrongSample(message) from None
    if not wanted.specifier.contains(release, prereleases=True):
        message = f"$ {command.words}\n{wanted.name} {release} is tested"
        raise WrongSample(message)


def replaced_port(folder: Path, port: int) -> Iterator[tuple[Path, str]]:
    """Put a free port into the page's files; yield them as they were."""
    for path in folder.rglob("*.py"):
        text = path.read_text()
        new = re.sub(r"\b8000\b", str(port), text)
        if new != text:
            path.write_text(new)
            yield path, text
