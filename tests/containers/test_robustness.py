"""What containers go through: many starts, full disks, hostile names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import schema
from tests.containers.harness import WEB, Container, Containers

pytestmark = pytest.mark.container

#: Each takes a second or two; PRODSERVER_CYCLES=500 takes all servers, and a while.
CYCLES = int(os.environ.get("PRODSERVER_CYCLES", "4"))
SERVERS = WEB if len(WEB) <= CYCLES else ("gunicorn", "uvicorn-asgi")
YES, CANNOT_TELL = 0, 2
FOLDER = "/rt"
GIVEN = {"PRODSERVER_RUNTIME_DIR": FOLDER}
#: To the last byte, and then what the image starts by itself.
FILL = "head -c 1000000 /dev/zero >$0/fill 2>/dev/null || :"
FILLED = f"{FILL}; exec prodserver-entrypoint"


def small(*folders: str, size: str = "4k") -> dict[str, str]:
    """Return tmpfs of some pages of memory, that anybody may write to."""
    return dict.fromkeys(folders, f"size={size},mode=1777")


def files(container: Container, folder: str) -> list[str]:
    done = container.exec("ls", "-A", folder)
    assert done.code == 0, done.output
    return sorted(done.output.split())


def has_no_traceback(container: Container) -> None:
    assert "Traceback" not in container.log, container.log


def test_starts_and_stops_leave_nothing_behind(containers: Containers) -> None:
    script = Path(__file__).with_name("cycles.py")
    container = containers.idle(mounts={"/cycles.py": script})
    done = container.exec("python", "/cycles.py", str(CYCLES), *SERVERS)
    assert done.code == 0, done.output
    found = json.loads(done.output.splitlines()[-1])
    print(f"{len(found['seconds'])} cycles, {sum(found['seconds']):.0f} s: {found}")
    assert len(found["seconds"]) == CYCLES
    assert found["after"] == found["before"]
    # The state of the last run of each stays, and is known to be of the past.
    for name in SERVERS:
        assert container.probe(name).code == 1
    assert [process.state for process in container.processes()].count("Z") == 0


def test_a_container_that_is_started_again_is_as_it_was(containers: Containers) -> None:
    """Its disk stays, and so what a stop has left on it."""
    web = containers.web("gunicorn")
    before = files(web, "/run/prodserver"), files(web, "/tmp")
    for _ in range(2):
        web.restart()
        web.until(lambda: web.probe().code == YES, "ready")
        assert (files(web, "/run/prodserver"), files(web, "/tmp")) == before
    assert web.stop().code == 0


class TestFullDisk:
    def test_another_folder_is_taken_at_the_start(self, containers: Containers) -> None:
        folder = "/run/prodserver"
        tmpfs = small(folder)
        words = ("--", "sh", "-c", FILLED, folder)
        web = containers.web("gunicorn", *words, tmpfs=tmpfs)
        assert web.probe().code == YES
        assert files(web, folder) == ["fill"]
        web.log_is_clean()

    def test_a_folder_that_is_given_has_no_other(self, containers: Containers) -> None:
        """It serves, and the probe says that it knows nothing; then there is room."""
        words = ("--", "sh", "-c", FILLED, FOLDER)
        web = containers.web("gunicorn", *words, env=GIVEN, tmpfs=small(FOLDER))
        why = "(no space, or no permission)"
        said = f"the probe will not work: cannot write to {FOLDER} {why}"
        assert web.log.count(said) == 1
        has_no_traceback(web)
        for question in ("--ready", "--live", "--drain=0"):
            done = web.probe(question)
            assert done.code == CANNOT_TELL, done
            assert done.output.startswith("cannot "), done
        assert files(web, FOLDER) == ["fill"]
        assert web.get("/about")
        assert web.stop().code == 0

    def test_it_goes_on_when_the_disk_fills(self, containers: Containers) -> None:
        redis = containers.redis()
        env = {**GIVEN, "TEST_REDIS_URL": f"redis://{redis.address}:6379/0"}
        tmpfs = small(FOLDER, size="8k")
        worker = containers.process("worker", env=env, tmpfs=tmpfs)
        worker.until(lambda: worker.probe().code == YES, "ready")
        worker.exec("sh", "-c", FILL, FOLDER)
        assert "fill" in files(worker, FOLDER)

        def beat() -> str:
            done = worker.exec("cat", f"{FOLDER}/worker.heartbeat")
            return done.output.partition(" ")[0]

        last = beat()
        worker.until(lambda: beat() != last, "the next heartbeat")
        assert worker.probe().code == YES
        done = worker.probe("--drain=0")
        assert done.code == CANNOT_TELL
        name = f"{FOLDER}/.worker.draining."
        assert done.output.startswith(f"cannot mark it as draining: {name}"), done
        assert done.output.rstrip().endswith(": No space left on device"), done
        assert worker.probe().code == YES
        assert worker.stop().code == 0

    def test_a_start_takes_the_room_of_the_last(self, containers: Containers) -> None:
        """As one more process on the same disk, which stays full."""
        idle = containers.idle(env=GIVEN, tmpfs=small(FOLDER, size="8k"))
        start = (
            "prodserver gunicorn & for i in $(seq 600); do prodserver-probe gunicorn"
        )
        start += " && break; sleep 0.1; done; kill -9 $!; wait $!"
        first = idle.exec("sh", "-c", start)
        assert "gunicorn is ready" in first.output, first.output
        idle.exec("sh", "-c", FILL, FOLDER)
        second = idle.exec("sh", "-c", start)
        assert "gunicorn is ready" in second.output, second.output
        assert files(idle, FOLDER) == ["fill", "gunicorn.heartbeat", "gunicorn.state"]

    @pytest.mark.parametrize("name", WEB)
    def test_a_full_tmp_keeps_none_from_serving(
        self, name: str, containers: Containers
    ) -> None:
        words = ("--", "sh", "-c", FILLED, "/tmp")
        web = containers.web(
            name, *words, hardened=True, tmpfs=small("/tmp"), read_only=True
        )
        assert web.probe().code == YES
        assert files(web, "/tmp") == ["fill"]
        web.log_is_clean()
        # More than a server keeps in memory: it may say no, and goes on.
        large = urllib.request.Request(web.url("/about"), data=b"x" * 3_000_000)
        with contextlib.suppress(OSError):  # 500, or it hangs up
            urllib.request.urlopen(large, timeout=60).close()
        assert web.probe().code == YES
        assert web.stop().code == 0


class TestReadOnly:
    def test_another_folder_is_taken_at_the_start(self, containers: Containers) -> None:
        web = containers.web(
            "gunicorn", env=GIVEN, hardened=True, tmpfs={FOLDER: "ro,size=8k"}
        )
        assert web.probe().code == YES
        assert files(web, FOLDER) == []
        web.log_is_clean()

    def test_nothing_is_told_that_is_not_known(self, containers: Containers) -> None:
        """A heartbeat that cannot be written is not one that does not come."""
        redis = containers.redis()
        env = {**GIVEN, "TEST_REDIS_URL": f"redis://{redis.address}:6379/0"}
        env["TEST_SETTINGS"] = json.dumps({"PRODUCTION_PROCESSES": MORTAL})
        worker = containers.process("worker", env=env, tmpfs=small(FOLDER, size="64k"))
        worker.until(lambda: worker.probe().code == YES, "ready")
        make(worker, "0555", "0400")
        for question in ("--live", "--ready"):

            def old(question: str = question) -> Any:
                done = worker.probe(question)
                return done if done.code != YES else None

            done = worker.until(old, "a heartbeat that is too old")
            assert done.code == CANNOT_TELL, done
            assert f"{FOLDER} is now read-only" in done.output, done
        done = worker.probe("--drain=0")
        assert done.code == CANNOT_TELL
        assert "Permission denied" in done.output
        make(worker, "1777", "0600")
        worker.until(lambda: worker.probe().code == YES, "ready again")
        assert worker.stop().code == 0
        has_no_traceback(worker)

    def test_a_web_process_needs_no_folder(self, containers: Containers) -> None:
        web = containers.web("gunicorn", env=GIVEN, tmpfs=small(FOLDER, size="64k"))
        make(web, "0555", "0400")
        assert web.probe().code == YES
        assert web.probe("--live").code == YES
        assert web.stop().code == 0
        web.log_is_clean()


MORTAL = {
    "worker": {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "proj.celery.app",
        "CONCURRENCY": 1,
        "HEALTH": {"MAX_AGE": 3},
    }
}


def make(container: Container, folder: str, files: str) -> None:
    """Give other modes to the folder and what is in it."""
    change = f"chmod {folder} {FOLDER} && chmod {files} {FOLDER}/*"
    done = container.exec("sh", "-c", change, user="0")
    assert done.code == 0, done.output


HOSTILE = {
    "quotes": "we'b\"",
    "lines": "web\nentrypoint: all is well",
    "substitution": "$(touch /tmp/pwned)`touch /tmp/pwned`; touch /tmp/pwned",
    "path": "../../../etc/passwd",
    "option": "--list",
    "terminal": "\x1b[2J\x07",
    # The most that exec takes is 128 KiB, with the name.
    "long": "x" * 131_000,
}


@pytest.mark.parametrize(("form", "delay"), [("text", ""), ("json", "5")])
def test_a_hostile_name_is_told_in_one_message(
    form: str, delay: str, containers: Containers
) -> None:
    """By the entrypoint, in one container for all: each is a process of its own."""
    idle = containers.idle(env={"PRODSERVER_LOG_FORMAT": form, "DRAIN_DELAY": delay})
    for name in HOSTILE.values():
        done = idle.exec("prodserver-entrypoint", PROCESS_NAME=name)
        assert done.code == 78, done
        assert "\x1b" not in done.output
        assert len(done.output) < 1000
        (line,) = done.output.splitlines()
        if form == "json":
            assert schema.line(line)["message"].startswith("No process named ")
        else:
            begin, end = line.split("prodserver: No process named ")
            assert re.fullmatch(r"20\S+Z error +\[\d+\] ", begin), done
            assert re.search(r" (Configured:|Did) ", end), done
        probe = idle.exec("prodserver-probe", PROCESS_NAME=name)
        assert probe.code == CANNOT_TELL, probe
        assert len(probe.output.splitlines()) == 1
    assert files(idle, "/tmp") == []


def test_a_hostile_name_given_to_docker(containers: Containers) -> None:
    name = HOSTILE["substitution"]
    done = containers.run(env={"PROCESS_NAME": name}, healthcheck={"test": ["NONE"]})
    assert done.code == 78
    assert done.output.startswith(f"prodserver: No process named {name!r} (from ")
