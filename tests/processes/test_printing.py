"""What only prints, read by a program that goes away, such as ``head``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.harness import MANAGE, PROJECT, SCRIPT, environment

pytestmark = pytest.mark.process

SETTINGS = {
    "PRODUCTION_PROCESSES": {
        "web": {"BACKEND": "django_prodserver.backends.waitress.WaitressServer"}
    }
}
PRINTS = [
    *((SCRIPT, words) for words in ("--list", "--explain", "--export compose")),
    *((SCRIPT, words) for words in ("--dry-run", "--init --dry-run", "--version")),
    *((MANAGE, words) for words in ("--list", "--explain --format html", "--help")),
    ((*MANAGE[:-1], "server"), "--list"),
    ((*MANAGE[:-1], "devserver"), "--explain"),
]


@pytest.mark.parametrize(("command", "words"), PRINTS)
def test_a_closed_pipe_ends_it_quietly(
    command: Sequence[str], words: str, tmp_path: Path
) -> None:
    reader, pipe = os.pipe()
    os.close(reader)
    env = environment(tmp_path, SETTINGS)
    # As for most users: with it, Python has nothing left to flush at the end.
    del env["PYTHONUNBUFFERED"]
    done = subprocess.run(
        [*command, *words.split()],
        cwd=PROJECT,
        env=env,
        stdout=pipe,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(pipe)
    assert (done.returncode, done.stderr) == (141, "")
