"""The changes to a project's files: shown first, then written together."""

from __future__ import annotations

import difflib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from django_prodserver.exceptions import ProdserverError
from django_prodserver.text import MASK, redact

#: Where copies are kept of files that git cannot bring back.
BACKUPS = ".prodserver-backup"


class NotWritten(ProdserverError):
    """Raised when the files of the project cannot be read or written."""


@dataclass
class Changes:
    """
    The new text of files, and what they hold now.

    Args:
        root: The directory of the project.
    """

    root: Path
    before: dict[Path, str | None] = field(default_factory=dict)
    after: dict[Path, str] = field(default_factory=dict)
    #: Files whose lines are secrets.
    secret: set[Path] = field(default_factory=set)

    def read(self, path: Path) -> str | None:
        """Return the text as it will be; None if there is no such file."""
        path = Path(os.path.realpath(path))
        if path in self.after:
            return self.after[path]
        if path not in self.before:
            self.before[path] = _read(path, self.name(path))
        return self.before[path]

    def set(self, path: Path, text: str, *, secret: bool = False) -> None:
        """Plan the new text of a file."""
        path = Path(os.path.realpath(path))
        if text == self.read(path):
            return
        self.after[path] = text
        if secret:
            self.secret.add(path)

    def add_lines(self, path: Path, lines: list[str], *, secret: bool = False) -> None:
        """Plan lines at the end of a file, without those that it has already."""
        text = self.read(path) or ""
        has = {line.strip() for line in text.splitlines()}
        missing = [line for line in lines if line not in has]
        if not missing:
            return
        newline = "\r\n" if "\r\n" in text else "\n"
        if text and not text.endswith("\n"):
            text += newline
        added = "".join(f"{line}{newline}" for line in missing)
        self.set(path, text + added, secret=secret)

    def name(self, path: Path) -> str:
        """Return a path as the user would type it."""
        root = os.path.realpath(self.root)
        return os.path.relpath(path, root) if path != Path(root) else root

    @property
    def names(self) -> list[str]:
        return [self.name(path) for path in self.after]

    @property
    def new(self) -> list[str]:
        """The files that are not there yet."""
        return [self.name(path) for path in self.after if self.before[path] is None]

    @property
    def changed(self) -> list[str]:
        """The files that are there and change."""
        return [name for name in self.names if name not in self.new]

    def diff(self) -> str:
        """Return a unified diff, without secrets."""
        return "".join(self._diff_lines())

    def _diff_lines(self) -> Iterator[str]:
        for path, after in self.after.items():
            before = self.before[path]
            name = self.name(path)
            lines = difflib.unified_diff(
                (before or "").splitlines(keepends=True),
                after.splitlines(keepends=True),
                f"a/{name}" if before is not None else "/dev/null",
                f"b/{name}",
            )
            for line in lines:
                text = line.rstrip("\r\n")
                if path in self.secret and text[:3] not in ("---", "+++", "@@ "):
                    key, equals, _ = text.partition("=")
                    is_comment = text[1:2] in ("#", "")
                    text = f"{key}={MASK}" if equals and not is_comment else key
                elif text[:1] in (" ", "-") and not text.startswith("---"):
                    # The project's own lines; ours hold no secrets.
                    text = redact(text)
                yield f"{text}\n"

    def write(self) -> Path | None:
        """
        Write all files, or none.

        Returns:
            The directory with the copies of files that git cannot bring back.

        Raises:
            NotWritten: It failed; the message says what has been written.
        """
        prepared: dict[Path, Path] = {}
        # It takes a moment, and half of it would be of no use.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for path, text in self.after.items():
                prepared[path] = self._prepare(path, text)
            kept = self._keep_copies()
            self._replace(prepared)
        except OSError as error:
            where = self.name(Path(error.filename2 or error.filename or self.root))
            message = f"{where} cannot be written: {error.strerror}."
            hint = f"Nothing has been changed. Check {where}, and run it again."
            raise NotWritten(message, hint) from None
        finally:
            for temporary in prepared.values():
                temporary.unlink(missing_ok=True)
            signal.signal(signal.SIGINT, handler)
        return kept

    def _replace(self, prepared: Mapping[Path, Path]) -> None:
        """
        Put the prepared files into their places, or the old ones back.

        Raises:
            OSError: A file cannot be replaced, and the others are as before.
            NotWritten: Nor could the others be put back.
        """
        replaced: list[Path] = []
        try:
            for path, temporary in prepared.items():
                temporary.replace(path)
                replaced.append(path)
        except OSError:
            self._put_back(replaced)
            raise

    def _put_back(self, replaced: list[Path]) -> None:
        while replaced:
            path = replaced[-1]
            before = self.before[path]
            try:
                if before is None:
                    path.unlink()
                else:
                    self._prepare(path, before).replace(path)
            except OSError as error:
                written = ", ".join(map(self.name, replaced))
                message = f"{self.name(path)} cannot be put back: {error.strerror}."
                hint = f"Written: {written}. Nothing else has been changed."
                raise NotWritten(message, hint) from None
            replaced.pop()

    def _prepare(self, path: Path, text: str) -> Path:
        """Write a file beside the one that it will replace."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied", str(path))
        try:
            number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        except OSError as error:
            error.filename = str(path.parent)
            raise
        temporary = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            if path.exists():
                shutil.copymode(path, temporary)
            else:
                umask = os.umask(0)
                os.umask(umask)
                mode = 0o600 if path in self.secret else 0o666 & ~umask
                temporary.chmod(mode)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _keep_copies(self) -> Path | None:
        lost = [
            path
            for path in self.after
            if path.is_file() and not self._is_committed(path)
        ]
        if not lost:
            return None
        directory = self.root / BACKUPS / time.strftime("%Y%m%d-%H%M%S")
        for path in lost:
            copy = directory / self.name(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        # Neither in the repository nor in the image.
        (self.root / BACKUPS / ".gitignore").write_text("*\n")
        return directory

    def _is_committed(self, path: Path) -> bool:
        """Tell whether git has the file as it is."""
        tracked = _git(path.parent, "ls-files", "--error-unmatch", path.name)
        status = _git(path.parent, "status", "--porcelain", "--", path.name)
        return tracked is not None and status == ""


def is_repository(directory: Path) -> bool:
    """Tell whether a directory is in a git repository."""
    return _git(directory, "rev-parse", "--is-inside-work-tree") == "true\n"


def _git(directory: Path, *words: str) -> str | None:
    """Return what git prints; None if it fails, or is not there."""
    git = shutil.which("git")
    if not git:
        return None
    done = subprocess.run(
        [git, *words], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def _read(path: Path, name: str) -> str | None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        message = f"{name} is not UTF-8."
        raise NotWritten(message, "Save it as UTF-8, and run it again.") from None
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}."
        hint = f"Nothing has been changed. Check {name}, and run it again."
        raise NotWritten(message, hint) from None
