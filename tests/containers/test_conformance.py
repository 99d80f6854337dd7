"""prodserver-conformance: all good of what is, and each row fails of what is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.containers.images import PREFIX, Images, make
from tests.harness import wait_for

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
BACKENDS = "django_prodserver.backends"
#: One that reads a request's body itself, so that a stop meets one in flight.
WEB = {"BACKEND": f"{BACKENDS}.granian.GranianASGIServer"}
SECRET = "hunter2-hunter2"
TINI = '"/usr/bin/tini", "-s", "-e", "143", "--"'
ENTRYPOINT = "/opt/prodserver/bin/prodserver-entrypoint"


#: A middleware that logs what a client sends, as it is.
CARELESS = r"""import logging

def middleware(get_response):
    def call(request):
        logging.getLogger("shop").warning("asked for " + request.path)
        return get_response(request)
    return call
""".replace("\n", "\\n")


class Checked(NamedTuple):
    """How a run ended; ``outcomes`` by row and process."""

    code: int
    output: str
    outcomes: Mapping[tuple[str, str], str]
    report: Mapping[str, Any]

    def rows(self, outcome: str) -> set[str]:
        return {row for (row, _), how in self.outcomes.items() if how == outcome}

    def row(self, name: str) -> Mapping[str, str]:
        [found] = [row for row in self.report["rows"] if row["row"] == name]
        return dict(found)


class Conformance:
    """Runs the command, in a project whose own pytest cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
        (folder / "conftest.py").write_text("raise RuntimeError('a conftest')\n")
        self.junit = folder / "report.xml"

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "prodserver_conformance", *args],
            cwd=self._folder,
            env={**os.environ, "PYTEST_ADDOPTS": "--no-such-option"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *args: str) -> Checked:
        report = self._folder / "report.json"
        # Generous: another worker's tests have the machine, too.
        patient = ("--timeout=150", "--grace=60")
        files = (f"--json={report}", f"--junit={self.junit}")
        running = self.start(*patient, *files, *args)
        output, _ = running.communicate()
        assert report.exists(), output
        found = json.loads(report.read_text())
        outcomes = {(r["row"], r["process"]): r["outcome"] for r in found["rows"]}
        return Checked(running.returncode, output, outcomes, found)


@pytest.fixture
def conformance(tmp_path: Path) -> Conformance:
    return Conformance(tmp_path)


@pytest.fixture(scope="session")
def derive(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that builds an image out of the lines of a Dockerfile."""

    def derive(name: str, *lines: str) -> str:
        folder = tmp_path_factory.mktemp("derived")
        settings = {"PRODUCTION_PROCESSES": {"web": WEB}}
        dockerfile = [
            "ARG BASE",
            "FROM ${BASE}",
            f"ENV TEST_SETTINGS='{json.dumps(settings)}'",
            *lines,
        ]
        (folder / "Dockerfile").write_text("\n".join([*dockerfile, ""]))
        return make(folder, f"{PREFIX}:conformance-{name}", BASE=images.test)

    return derive


def _script(path: str, *lines: str) -> list[str]:
    """Return the steps that write a program into the image."""
    text = "\\n".join(["#!/bin/sh", *lines, ""])
    return ["USER 0", f"RUN printf '{text}' >{path} && chmod 755 {path}"]


def _hook(*lines: str) -> list[str]:
    return [*_script("/docker-entrypoint.d/10-hook", *lines), "USER 10001:0"]


class Bad(NamedTuple):
    """
    An image that is wrong.

    Args:
        lines: What makes it so, in its Dockerfile.
        beside: Rows that could fail with it, and do not.
        also: Rows that fail by the same fault.
        seen: What the row says.
        args: More options.
    """

    lines: Sequence[str]
    seen: str
    beside: Sequence[str] = ()
    also: Sequence[str] = ()
    args: Sequence[str] = ()


BAD = {
    "comes-up": Bad(
        [
            f"""ENV TEST_SETTINGS='{
                json.dumps(
                    {
                        "PRODUCTION_PROCESSES": {"web": WEB},
                        "ASGI_APPLICATION": "proj.broken.application",
                    }
                )
            }'""",
        ],
        "it exited with code",
        beside=["unknown-process", "exit-codes"],
    ),
    "pid-1": Bad(
        [f'ENTRYPOINT ["{ENTRYPOINT}"]'],
        "the process itself",
        beside=["comes-up", "stop"],
    ),
    "non-root": Bad(["USER 0"], "USER is 0: root", beside=["any-uid"]),
    "any-uid": Bad(
        [
            "USER 0",
            "RUN chown -R 10001 /app/proj && chmod -R go= /app/proj",
            "USER 10001:0",
        ],
        "it exited with code",
        beside=["read-only", "non-root"],
    ),
    "read-only": Bad(
        [
            *_hook("date >/app/var/started"),
            "USER 0",
            "RUN install -d -o 10001 -g 0 -m 0775 /app/var",
            "USER 10001:0",
        ],
        "Read-only file system",
        beside=["capabilities"],
    ),
    "capabilities": Bad(
        [
            "USER 0",
            "RUN cp /bin/cat /usr/bin/rootcat && chmod 4755 /usr/bin/rootcat "
            "&& install -m 0600 /dev/null /etc/the-key",
            *_hook("rootcat /etc/the-key"),
        ],
        "/etc/the-key: Permission denied",
        beside=["any-uid", "non-root"],
    ),
    "setuid": Bad(
        [
            "USER 0",
            "RUN cp /bin/cat /usr/bin/rootcat && chmod 4755 /usr/bin/rootcat",
            "USER 10001:0",
        ],
        "setuid or setgid: /usr/bin/rootcat",
        beside=["capabilities"],
    ),
    "root-home": Bad(["ENV HOME=/tmp"], "/tmp, of uid 0, mode 1777", beside=["setuid"]),
    "probe-truth": Bad(
        ['HEALTHCHECK CMD ["true"]'],
        "not no from its HEALTHCHECK after SIGSTOP",
        beside=["comes-up", "probe-cost"],
    ),
    "second-start": Bad(
        [
            "USER 0",
            "RUN own=$(command -v prodserver) && mv $own $own-own && printf "
            "'#!/bin/sh\\necho >>/tmp/starts\\nexec %s-own \"$@\"\\n' $own >$own "
            "&& chmod 755 $own",
            "USER 10001:0",
            "HEALTHCHECK CMD prodserver-probe && test $(wc -l </tmp/starts) -lt 2",
        ],
        "not yes from its HEALTHCHECK after a second start",
        beside=["comes-up"],
    ),
    "probe-cost": Bad(
        [
            "HEALTHCHECK --timeout=60s "
            "CMD python -c \"b'x' * 80_000_000\" && prodserver-probe"
        ],
        "48 MiB",
        beside=["comes-up", "probe-truth"],
    ),
    "forged-log": Bad(
        [
            f"""ENV TEST_SETTINGS='{
                json.dumps(
                    {
                        "PRODUCTION_PROCESSES": {
                            "web": {**WEB, "LOG_FORMAT": "native"}
                        },
                        "MIDDLEWARE": ["careless.middleware"],
                    }
                )
            }'""",
            "USER 0",
            f"RUN printf '{CARELESS}' >/app/careless.py",
            "USER 10001:0",
        ],
        "a line that a client made: 'forged-",
        beside=["comes-up", "setuid"],
    ),
    "forged-headers": Bad(
        [
            f"""ENV TEST_SETTINGS='{
                json.dumps(
                    {
                        "PRODUCTION_PROCESSES": {"web": WEB},
                        "MIDDLEWARE": ["django.middleware.security.SecurityMiddleware"],
                        "SECURE_SSL_REDIRECT": True,
                        "SECURE_PROXY_SSL_HEADER": [
                            "HTTP_X_FORWARDED_PROTO",
                            "https",
                        ],
                    }
                )
            }'""",
        ],
        "with X-Forwarded-*: status 200; without: status 301, location: https://",
        beside=["comes-up", "forged-log"],
    ),
    "secrets": Bad(
        _hook("env"),
        "CONFORMANCE_SECRET_TOKEN in the log",
        beside=["comes-up", "unknown-process"],
    ),
    "drain": Bad(
        [f'ENTRYPOINT [{TINI}, "env", "-u", "DRAIN_DELAY", "{ENTRYPOINT}"]'],
        "it exited with code 0",
        beside=["pid-1", "stop"],
    ),
    "stop": Bad(
        [
            *_script("/bin/start", f'{ENTRYPOINT} "$@"', "exit $?"),
            "USER 10001:0",
            f'ENTRYPOINT [{TINI}, "/bin/start"]',
        ],
        "no answer",
        beside=["pid-1", "exit-codes"],
        # Its SIGTERM is the same.
        also=["drain"],
    ),
    "unknown-process": Bad(
        [
            *_script(
                "/bin/start",
                "case ${1-} in",
                f'"" | python | prodserver) exec {ENTRYPOINT} "$@" ;;',
                "*) echo what is that, $1? >&2; exit 1 ;;",
                "esac",
            ),
            "USER 10001:0",
            f'ENTRYPOINT [{TINI}, "/bin/start"]',
        ],
        "exit code 1",
        beside=["exit-codes", "comes-up"],
    ),
    "exit-codes": Bad(
        [f'ENTRYPOINT [{TINI.replace("143", "2")}, "{ENTRYPOINT}"]'],
        "two processes at once: exit code 0, not 2",
        beside=["unknown-process"],
    ),
    "byte-code": Bad(
        ["USER 0", "RUN find /app -name '*.pyc' -delete", "USER 10001:0"],
        "/app/manage.py (none)",
        beside=["probe-cost"],
    ),
    "size": Bad([], "MiB", args=["--max-size=1"], beside=["byte-code"]),
}


def test_each_row_has_its_bad_image(conformance: Conformance) -> None:
    listed, _ = conformance.start("--list").communicate()
    assert [line.split()[0] for line in listed.splitlines()] == list(BAD)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image(
    name: str, conformance: Conformance, derive: Callable[..., str]
) -> None:
    """Its row fails, says what is wrong and what to do, and the others do not."""
    bad = BAD[name]
    rows = [name, *bad.beside, *bad.also]
    image = derive(name, *bad.lines)
    done = conformance(image, *bad.args, *(f"--only={row}" for row in rows))
    assert done.code == 1, done.output
    assert done.rows("failed") == {name, *bad.also}, done.output
    assert done.rows("passed") == {*bad.beside}, done.output
    row = done.row(name)
    assert bad.seen in row["saw"], done.output
    assert row["fix"]
    # The table is wrapped; what is in it is the same.
    assert " ".join(row["fix"].split()[:4]) in done.output


def test_the_tests_image_is_good(
    conformance: Conformance, derive: Callable[..., str]
) -> None:
    """With a page that is slow, on a server that does not read bodies itself."""
    web = {"BACKEND": f"{BACKENDS}.gunicorn.GunicornServer"}
    settings = json.dumps({"PRODUCTION_PROCESSES": {"web": web}})
    done = conformance(
        derive("good"),
        *("--env", f"TEST_SETTINGS={settings}", "--env", f"API_TOKEN={SECRET}"),
        *("--slow-path=/slow?s=8", "--strict"),
    )
    assert done.code == 0, done.output
    assert done.rows("passed") == set(BAD), done.output
    assert SECRET not in done.output
    assert "/slow?s=8 in flight" in done.row("stop")["did"]


def test_the_example_is_good(
    conformance: Conformance, images: Images, tmp_path: Path
) -> None:
    """Web and worker, with a release before; of Django's own forms, any is held."""
    tag = f"{PREFIX}:example"
    image = make(ROOT / "example", tag, BASE=images.base, BUILDER=images.builder)
    variables = tmp_path / "variables"
    variables.write_text(f"# the site's\nDJANGO_SECRET_KEY={SECRET}\n")
    done = conformance(
        image, f"--env-file={variables}", "--volume=/data", "--before=release"
    )
    assert done.code == 0, done.output
    assert done.rows("failed") == set(), done.output
    # Of the worker.
    skipped = {"drain", "second-start", "forged-log", "forged-headers"}
    assert done.rows("skipped") == skipped, done.output
    assert {done.outcomes[(name, "web")] for name in skipped} == {"passed"}
    assert {process for _, process in done.outcomes} == {"web", "worker", ""}
    junit = conformance.junit.read_text()
    for text in (done.output, json.dumps(done.report), junit):
        assert SECRET not in text
    assert junit.count("<testcase ") == len(done.outcomes)
    assert '<property name="seen" value="PID 1 is tini; all orphans reaped"' in junit


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_behind(
    signum: int, conformance: Conformance, derive: Callable[..., str]
) -> None:
    """Interrupted while it waits for a process that does not come up."""
    mark = f"{PREFIX}-{signum}"
    image = derive(f"ended-{signum}", f"LABEL mark={mark}", 'HEALTHCHECK CMD ["false"]')
    running = conformance.start(image, "--timeout=300", "--volume=/data")
    ours = ("--quiet", "--filter", f"label=mark={mark}")
    # The one that lists the processes comes first, and ends.
    wait_for(
        lambda: _docker("ps", *ours, "--filter", "health=starting"), "started", 120
    )
    running.send_signal(signum)
    output, _ = running.communicate()
    assert running.returncode == 128 + signum, output
    assert "interrupted; all started containers are removed" in output
    assert "Traceback" not in output
    assert _docker("ps", "--all", *ours) == ""


def _docker(*args: str) -> str:
    return subprocess.check_output(["docker", *args], text=True).strip()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["nosuchimage:1"], "no image 'nosuchimage:1'", id="image"),
        pytest.param(
            ["IMAGE", "--process=wbe"], "no process 'wbe'.\nIt has: web.", id="process"
        ),
        pytest.param(["IMAGE", "--network=x"], "no network 'x'", id="network"),
        pytest.param(
            ["IMAGE", "--env=DJANGO_SETTINGS_MODULE=nosuch"],
            "The settings 'nosuch' were not found",
            id="settings",
        ),
        pytest.param(["PYTHON"], "does not list its processes", id="not-of-the-base"),
    ],
)
def test_what_cannot_be_checked(
    args: list[str],
    said: str,
    conformance: Conformance,
    derive: Callable[..., str],
    images: Images,
) -> None:
    names = {"IMAGE": derive("good"), "PYTHON": images.python}
    running = conformance.start(*(names.get(word, word) for word in args))
    output, _ = running.communicate()
    assert running.returncode == 2, output
    assert said in output
    assert "Traceback" not in output
