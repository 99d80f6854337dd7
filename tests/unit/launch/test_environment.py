"""The environment in which a process is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_prodserver.config.processes import Process
from django_prodserver.launch import environment


def standard_library() -> str:
    return str(Path(os.__file__).parent)


class TestCommandEnvironment:
    def test_pythonpath_has_the_import_path_of_this_process(
        self, monkeypatch, tmp_path
    ):
        """All before the standard library: manage.py's directory, PYTHONPATH, "."."""
        monkeypatch.chdir(tmp_path)
        scripts = str(Path(sys.executable).parent)
        ahead = ["", "/a", "/python313.zip", scripts, "/b", "/a"]
        monkeypatch.setattr(sys, "path", [*ahead, standard_library(), "/site-packages"])
        found = environment.of_command(Process("web", {}))
        assert found["PYTHONPATH"] == f"{tmp_path}:/a:/b"

    @pytest.mark.parametrize("path", [[], ["/a"]], ids=["nothing", "no standard"])
    def test_no_pythonpath_without_extra_entries(self, monkeypatch, path):
        monkeypatch.setattr(sys, "path", path)
        assert "PYTHONPATH" not in environment.of_command(Process("web", {}))

    def test_env_overrides_the_settings_module(self):
        found = environment.of_command(Process("web", {}))
        assert found["DJANGO_SETTINGS_MODULE"] == "proj.settings"
        own = {"DJANGO_SETTINGS_MODULE": "other", "A": 1}
        found = environment.of_command(Process("web", {"ENV": own}))
        assert (found["DJANGO_SETTINGS_MODULE"], found["A"]) == ("other", "1")


def test_service_links_are_dropped_and_reported(monkeypatch, capfd):
    """Variables that merely look similar are kept."""
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
    output = "".join(capfd.readouterr())
    assert output.count("ignoring") == 1
    assert "ignoring UVICORN_PORT=tcp://10.0.0.1:80" in output


#: A program that prints its environment at each start, and restarts with ENV.
PROGRAM = """
import os, sys
from django_prodserver.launch import environment
print(os.getpid(), os.environ.get("A"), *sys.argv[1:], flush=True)
os.environ.update(eval(sys.argv[1]))
environment.restart_with({"A": "1", "B": "2"})
print("continues", flush=True)
"""


def starts(changes: str, **extra: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, changes, "word"],
        env=os.environ | extra,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_restarts_with_env():
    first, second, last = starts("{}")
    pid = first.split()[0]
    assert [first, second, last] == [
        f"{pid} None {{}} word",
        f"{pid} 1 {{}} word",
        "continues",
    ]


def test_does_not_restart_if_env_is_already_set():
    lines = starts("{}", A="1", B="2")
    assert len(lines) == 2
    assert lines[-1] == "continues"


def test_restarts_only_once_if_env_is_changed_back():
    lines = starts("{'A': '0'}")
    assert len(lines) == 3
    assert lines[-1] == "continues"


def test_restart_marker_of_the_parent_is_ignored():
    """A child of a restarted process restarts as well."""
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
