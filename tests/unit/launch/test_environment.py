"""The environment that a process is started with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_prodserver.config.processes import Process
from django_prodserver.launch import environment


def standard() -> str:
    return str(Path(os.__file__).parent)


class TestOfACommand:
    def test_it_finds_what_this_process_can_import(self, monkeypatch, tmp_path):
        """All ahead of the standard library: manage.py's folder, PYTHONPATH, "."."""
        monkeypatch.chdir(tmp_path)
        scripts = str(Path(sys.executable).parent)
        ahead = ["", "/a", "/python313.zip", scripts, "/b", "/a"]
        monkeypatch.setattr(sys, "path", [*ahead, standard(), "/site-packages"])
        found = environment.of_command(Process("web", {}))
        assert found["PYTHONPATH"] == f"{tmp_path}:/a:/b"

    @pytest.mark.parametrize("path", [[], ["/a"]], ids=["nothing", "no standard"])
    def test_without_anything_ahead_there_is_none(self, monkeypatch, path):
        monkeypatch.setattr(sys, "path", path)
        assert "PYTHONPATH" not in environment.of_command(Process("web", {}))

    def test_it_has_the_settings_and_env_which_is_stronger(self):
        found = environment.of_command(Process("web", {}))
        assert found["DJANGO_SETTINGS_MODULE"] == "proj.settings"
        own = {"DJANGO_SETTINGS_MODULE": "other", "A": 1}
        found = environment.of_command(Process("web", {"ENV": own}))
        assert (found["DJANGO_SETTINGS_MODULE"], found["A"]) == ("other", "1")


def test_the_variables_of_a_service_are_dropped_and_told(monkeypatch, capfd):
    """And nothing that only looks like them."""
    for name, value in {
        "UVICORN_PORT": "tcp://10.0.0.1:80",
        "UVICORN_WORKERS": "2",
        "SHOP_PORT": "tcp://10.0.0.1:80",
    }.items():
        monkeypatch.setenv(name, value)
    environment.drop_service_links("UVICORN_")
    assert "UVICORN_PORT" not in os.environ
    assert os.environ["UVICORN_WORKERS"] == "2"
    assert os.environ["SHOP_PORT"] == "tcp://10.0.0.1:80"
    said = "".join(capfd.readouterr())
    assert said.count("ignoring") == 1
    assert "ignoring UVICORN_PORT=tcp://10.0.0.1:80" in said


#: Says what it sees each time that it is started, and asks for ENV.
PROGRAM = """
import os, sys
from django_prodserver.config.processes import Process
from django_prodserver.launch import environment
print(os.getpid(), os.environ.get("A"), *sys.argv[1:], flush=True)
os.environ.update(eval(sys.argv[1]))
environment.restart_with(Process("web", {"ENV": {"A": "1", "B": 2}}))
print("goes on", flush=True)
"""


def starts(undone: str, **extra: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, undone, "word"],
        env=os.environ | extra,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_same_command_starts_again_with_env():
    first, second, last = starts("{}")
    pid = first.split()[0]
    assert [first, second, last] == [
        f"{pid} None {{}} word",
        f"{pid} 1 {{}} word",
        "goes on",
    ]


def test_it_does_not_where_env_is_there_already():
    lines = starts("{}", A="1", B="2")
    assert len(lines) == 2
    assert lines[-1] == "goes on"


def test_it_does_so_once_where_something_changes_it_back():
    lines = starts("{'A': '0'}")
    assert len(lines) == 3
    assert lines[-1] == "goes on"


def test_it_is_not_kept_from_it_by_the_mark_of_another_process():
    """One that was started by a process that had started again."""
    program = PROGRAM + (
        "import subprocess\n"
        "if 'inner' not in sys.argv:\n"
        "    del os.environ['A']\n"
        "    command = [sys.executable, *sys.orig_argv[1:], 'inner']\n"
        "    subprocess.run(command, check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "{}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    inner = [line for line in done.stdout.splitlines() if line.endswith("inner")]
    assert [line.split()[1] for line in inner] == ["None", "1"]
