"""A page's samples, run one after the other in the page's own copy of the shop."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from docs._ext import console, samples
from docs._ext.console import WrongSample
from docs._ext.facts import ROOT
from docs._ext.samples import Sample
from tests import harness
from tests.harness import BIN, Running

SHOP = ROOT / "docs" / "shop"
_SETTINGS = "shop/settings.py"
#: A page adds the apps that a reader's settings have not, and the shop's have.
_ONCE = "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))\n"
#: What needs a Redis, where something of a page goes on.
_REDIS = re.compile("celery|redis|rq", re.IGNORECASE)


@dataclass
class Page:
    """
    A page, and where its samples run.

    Attributes:
        path: The page.
        folder: An empty directory.
        missing: The programs that some of its samples need, and this machine lacks.
    """

    path: Path
    folder: Path
    missing: set[str] = field(default_factory=set)

    def run(self) -> list[str]:
        """Run all samples; return what is wrong with them, each with its place."""
        wrong = []
        found = samples.of_page(self.path)
        shutil.copytree(SHOP, self.folder, dirs_exist_ok=True)
        # Where it writes to no terminal, curl shows how far it is.
        Path(self.folder, ".curlrc").write_text("silent\nshow-error\n")
        redis = self._redis() if any(sample.stays for sample in found) else None
        try:
            for sample in found:
                try:
                    if not sample.skipped:
                        self._run(sample)
                except (WrongSample, subprocess.TimeoutExpired) as error:
                    wrong.append(f"{self.path}:{sample.line}: {error}")
        finally:
            if redis:
                redis.kill()
        return wrong

    def _run(self, sample: Sample) -> None:
        run = _RUNS.get(sample.language)
        if run is None:
            message = f"nothing tests a block of {sample.language or 'no language'!r}"
            raise WrongSample(message)
        run(self, sample)

    def _python(self, sample: Sample) -> None:
        is_settings = self._settings(sample)
        if is_settings and sample.file in ("", _SETTINGS):
            with (self.folder / _SETTINGS).open("a") as settings:
                settings.write(f"\n{sample.source}\n{_ONCE}")
        elif sample.file:
            file = self.folder / sample.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(sample.source)
        # A file is imported with the settings that it may be for, further on.
        words = [*sample.faults] if is_settings else ["--run", self._file(sample)]
        self._call("docs._ext.accepted", *words)

    def _settings(self, sample: Sample) -> bool:
        """Tell whether a sample is of the settings: it binds, or fills, one of them."""
        try:
            tree = ast.parse(sample.source)
        except SyntaxError as error:
            message = f"{error.msg} in line {error.lineno}"
            raise WrongSample(message) from None
        names = [name for statement in tree.body for name in _bound(statement)]
        is_mine = not sample.file and any(name.isupper() for name in names)
        return sample.file == _SETTINGS or is_mine

    def _file(self, sample: Sample) -> str:
        if sample.file:
            return sample.file
        file = self.folder / f"line_{sample.line}.py"
        file.write_text(sample.source)
        return file.name

    def _console(self, sample: Sample) -> None:
        for command in console.commands(sample.source):
            if command.after is None:
                console.run(command, self.folder, self.environment())
            else:
                self._run_and_stop(command)

    def _run_and_stop(self, command: console.Command) -> None:
        port = harness.free_port()
        before = list(console.replaced_port(self.folder, port))
        for each in (command, *command.meanwhile):
            each.words = re.sub(r"\b8000\b", str(port), each.words)
        # For an address that nothing names.
        env = {"PRODSERVER_HOST": "127.0.0.1", "PORT": str(port)}
        try:
            console.run_and_stop(command, self.folder, self.environment() | env, port)
        finally:
            for path, text in before:
                path.write_text(text)

    def _yaml(self, sample: Sample) -> None:
        _parsed(lambda: list(yaml.safe_load_all(sample.source)))

    def _toml(self, sample: Sample) -> None:
        _parsed(lambda: tomllib.loads(sample.source))
        if sample.file:
            (self.folder / sample.file).write_text(sample.source)

    def _json(self, sample: Sample) -> None:
        _parsed(lambda: json.loads(sample.source))

    def _ini(self, sample: Sample) -> None:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        _parsed(lambda: parser.read_string(sample.source))
        if sample.file.endswith(".service"):
            self._check_unit(sample)

    def _check_unit(self, sample: Sample) -> None:
        program = shutil.which("systemd-analyze")
        if program is None:
            return
        file = self.folder / Path(sample.file).name
        file.write_text(sample.source)
        done = _called([program, "verify", str(file)], self.folder, None)
        # The program is on the reader's machine, and not here.
        lines = [
            line
            for line in done.stderr.splitlines()
            if file.name in line and "is not executable" not in line
        ]
        if lines:
            raise WrongSample("\n".join(lines))

    def _sh(self, sample: Sample) -> None:
        program = shutil.which("shellcheck")
        if program is None:
            self.missing.add("shellcheck")
            return
        file = self.folder / f"line_{sample.line}.sh"
        file.write_text(sample.source)
        self._done([program, "--shell=sh", str(file)])

    def _text(self, sample: Sample) -> None:
        """It is nothing that could be run."""

    def environment(self) -> dict[str, str]:
        ours = ("DJANGO_", "PYTEST_", "COV_", "PRODSERVER_")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(ours) and name not in ("PORT", "WEB_CONCURRENCY")
        }
        return kept | {
            "COLUMNS": "80",
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "HOME": str(self.folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PRODSERVER_RUNTIME_DIR": str(self._runtime()),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": f"redis://127.0.0.1:{self._redis_port}/0",
        }

    _redis_port: int = 6379

    def _runtime(self) -> Path:
        folder = self.folder / ".run"
        folder.mkdir(exist_ok=True)
        return folder

    def _redis(self) -> Running | None:
        if not _REDIS.search(self.path.read_text()):
            return None
        program = shutil.which("redis-server")
        if program is None:
            raise WrongSample("redis-server is missing; make test installs it")
        self._redis_port = harness.free_port()
        words = [program, "--port", str(self._redis_port), "--bind", "127.0.0.1"]
        log = self.folder / "redis.log"
        server = Running([*words, "--save", ""], os.environ, log, self.folder)
        server.says("Ready to accept connections")
        return server

    def _call(self, module: str, *words: str) -> None:
        self._done([sys.executable, "-m", module, *words])

    def _done(self, argv: list[str]) -> None:
        paths = os.pathsep.join((str(self.folder), str(ROOT)))
        env = {**self.environment(), "PYTHONPATH": paths}
        done = _called(argv, self.folder, env)
        if done.returncode:
            raise WrongSample((done.stdout + done.stderr).rstrip())


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module binds, or whose items it does."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign):
        targets = [statement.target]
    for target in targets:
        named = target.value if isinstance(target, ast.Subscript) else target
        if isinstance(named, ast.Name):
            yield named.id


def _called(
    argv: list[str], cwd: Path, env: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=cwd, env=env, text=True, capture_output=True, timeout=120
    )


def _parsed(parse: Callable[[], object]) -> None:
    try:
        parse()
    except (ValueError, yaml.YAMLError, configparser.Error) as error:
        raise WrongSample(str(error)) from None


def pages(root: Path) -> Iterator[Path]:
    """Yield the pages below a folder."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix in (".md", ".rst") and parts[0] not in ("_build", "shop"):
            yield path


_RUNS: dict[str, Callable[[Page, Sample], None]] = {
    "console": Page._console,
    "ini": Page._ini,
    "json": Page._json,
    "python": Page._python,
    "sh": Page._sh,
    "text": Page._text,
    "toml": Page._toml,
    "yaml": Page._yaml,
}
