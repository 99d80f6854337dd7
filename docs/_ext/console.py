"""Samples of a terminal: their commands are run, and what they say is compared."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from docs._ext.facts import ROOT
from tests import harness
from tests.harness import Running

ELSEWHERE = "# in another terminal"
BACK = "# in the first terminal"
STOPPED = "^C"
#: What "..." is for the one who compares.
_ANY = "\0"
#: What is different at each start: times, and PIDs beside their name.
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PID = re.compile(r"((?<=Z )\w+ +\w+\[|\bpid[:=]? ?|:8000 \()\d+\b")
#: Their first output may come too early; running them again changes nothing.
_QUESTIONS = ("curl ", "docker exec ", "prodserver-probe")


@dataclass
class Command:
    """A command, and its output on the page."""

    words: str
    output: list[str] = field(default_factory=list)
    #: Its output once it is stopped; None if it exits on its own.
    after: list[str] | None = None
    #: The commands that are run while it runs.
    meanwhile: list[Command] = field(default_factory=list)
    #: Its output by then.
    later: list[str] = field(default_factory=list)


class WrongSample(Exception):
    """A sample does not do what the page shows."""


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
        elif line == BACK:
            current = found
        elif line == STOPPED:
            found[-1].after = []
            current = found
        elif current is found and found[-1].after is not None:
            found[-1].after.append(line)
        elif current is found and found[-1].meanwhile:
            found[-1].later.append(line)
        else:
            current[-1].output.append(line)
    for command in found:
        if command.after is not None and not "".join(command.output).strip(". "):
            message = f"{command.words!r} prints nothing that shows that it runs"
            raise WrongSample(message)
        if command.meanwhile and command.after is None:
            message = f"{command.words!r} is never stopped: write {STOPPED}"
            raise WrongSample(message)
    return found


def run(
    command: Command, folder: Path, env: Mapping[str, str], port: int = 8000
) -> None:
    """
    Run a command that exits on its own; only inspect one that would install something.

    Its output must have the port of the page, 8000, instead of the real one.

    Raises:
        WrongSample: It prints something else, or fails unexpectedly.
    """
    if command.words.startswith("python -m pip install "):
        _look_for_requirements(command)
    else:
        execute(command, folder, env, port)


def execute(
    command: Command,
    folder: Path,
    env: Mapping[str, str],
    port: int = 8000,
    timeout: float = 120,
) -> None:
    """
    Run a command that exits on its own, and compare its output.

    Args:
        command: What to run, and the expected output.
        folder: The working directory.
        env: Its whole environment.
        port: What is 8000 on the page.
        timeout: Seconds.

    Raises:
        WrongSample: It prints something else, or fails unexpectedly.
    """
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
            timeout=timeout,
        )
        text = _with_port(done.stdout, port)
        if command.output:
            return "" if _matches([command.output], text) else text or "-"
        return f"{text}exit code {done.returncode}" if done.returncode else ""

    try:
        printed = said()
    except subprocess.TimeoutExpired as error:
        printed = f"{(error.stdout or b'').decode()}not finished within {timeout} s"
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
) -> int:
    """
    Run a long-running command and the commands beside it, and stop it.

    Its output must have the port of the page, 8000, instead of the real one.

    Returns:
        Its exit code.

    Raises:
        WrongSample: One of them prints something else.
    """
    log = Path(folder, "terminal.log")
    log.unlink(missing_ok=True)
    process = Running(_shell(command), env, log, folder)

    def output() -> str:
        return _with_port(process.output, port)

    def begins(*parts: list[str]) -> bool:
        return _matches(parts, output(), whole=False)

    try:
        process.until(lambda: begins(command.output), "its output")
        for other in command.meanwhile:
            run(other, folder, env, port)
        process.until(
            lambda: begins(command.output, command.later), "what it prints by then"
        )
        # As a terminal does: to all that is in it.
        process.signal_all(signal.SIGINT)
        code = process.exits()
    except AssertionError as error:
        raise WrongSample(_report(command, command.output, str(error))) from None
    finally:
        process.kill()
    # Not its last words: a server may say more of its end when the machine is busy.
    if not begins(command.output, command.later, command.after or []):
        expected = [*command.output, *command.later, STOPPED, *(command.after or [])]
        raise WrongSample(_report(command, expected, output()))
    return code


def _shell(command: Command) -> list[str]:
    # Which becomes the last of what it runs, and so what is signalled.
    return ["bash", "-c", command.words]


def _with_port(text: str, port: int) -> str:
    return re.sub(rf"\b{port}\b", "8000", text)


def _matches(parts: Sequence[list[str]], printed: str, *, whole: bool = True) -> bool:
    """
    Tell whether it prints these lines; "..." is anything, in a line or of lines.

    Args:
        parts: The expected lines; anything may come between two parts.
        printed: What it has printed.
        whole: Whether that is all of it, or its beginning.
    """
    said = ["\n".join(map(str.rstrip, lines)).strip("\n") for lines in parts]
    said = [_alike(text) for text in said]
    # Before they are joined: a part may end with a full stop.
    said = [text.replace("...", _ANY) for text in said]
    wanted = _ANY.join([said[0], *filter(None, said[1:])])
    # Of lines, also none.
    wanted = re.sub(rf"(^|\n){_ANY}\n", rf"\1{_ANY}", wanted)
    first, *rest = re.sub(rf"\n{_ANY}$", _ANY, wanted).split(_ANY)
    text = _alike(_trimmed(printed))
    if not (wanted or whole):
        return True
    if not rest:
        return text == first or (not whole and f"{text}\n".startswith(f"{first}\n"))
    if not text.startswith(first):
        return False
    # Each as early as it can be; where the last has to end is known.
    place, last = len(first), rest.pop() if rest else ""
    for piece in rest:
        if (found := text.find(piece, place)) < 0:
            return False
        place = found + len(piece)
    end = re.escape(last) + (r"\Z" if whole else r"(?=\n|\Z)" if last else "")
    return bool(re.compile(end).search(text, place))


def _alike(text: str) -> str:
    """Make times and PIDs the same, so that a page can show those of one start."""
    return _PID.sub(r"\g<1>1", _TIME.sub("2000-01-01T00:00:00.000Z", text))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _report(command: Command, expected: list[str], printed: str) -> str:
    said = "\n".join(expected) or "(nothing that is compared)"
    return f"$ {command.words}\non the page:\n{said}\nin fact:\n{printed.rstrip()}"


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
