"""What every queue's tasks do: say in a file that they began, and that they ended."""

import logging
import os
import subprocess
import sys
import time

from django.conf import settings

logger = logging.getLogger(__name__)


def mark(name: str, seconds: float = 0) -> str:
    folder = settings.DATA / "marks"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.began").open("a") as file:
        file.write(f"{os.getpid()}\n")
    logger.info("working on %s", name)
    if recorder := sys.modules.get("proj.recorder"):
        recorder.save(name)  # for tests/equality
    if name == "fail":
        raise ValueError("it fails")
    if name == "parent":
        subprocess.Popen(["sleep", "600"])  # a child that outlives the task
    if seconds < 0:
        _hold(stubborn=seconds < -1)
    else:
        time.sleep(seconds)
    with (folder / f"{name}.ended").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return name


def _hold(stubborn: bool) -> None:
    """Go on until a test says so, whatever is raised if it is stubborn."""
    while not (settings.DATA / "go").exists():
        try:
            time.sleep(0.05)
        except BaseException:
            if not stubborn:
                raise
