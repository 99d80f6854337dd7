"""A preload that was given up is not tried again; PRELOAD overrides that."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Starter
from tests.harness import MANAGE, MODULE, Web, lines, running
from tests.servers import config

pytestmark = pytest.mark.process

APPS = '["proj.recorded.RecordedConfig", "proj.threaded.ThreadedConfig"]'
REASON = "the application has started the thread 'poller' of proj.threaded"
AGAIN = f"not preloading, because {REASON} at the last start"


def serve(start: Starter, port: int, **keys: Any) -> Web:
    """Start two workers with an app that starts a thread and records its loads."""
    entry = config("gunicorn-2", port, **keys)
    return start.web(entry, port=port, via=MODULE, TEST_APPS=APPS)


def loaded_by(start: Starter) -> list[int]:
    """Return the process of each load since the last call."""
    file = start.data / "ready"
    pids = [int(line) for line in lines(file)]
    file.unlink()
    return pids


def test_the_second_start_does_not_load_twice(start: Starter, port: int) -> None:
    first = serve(start, port)
    assert f"not preloading, because {REASON}" in first.output
    assert AGAIN not in first.output
    assert first.stop() == 0
    assert first.process.pid in loaded_by(start), "the preload that was given up"

    second = serve(start, port)
    assert AGAIN in second.output
    assert second.stop() == 0
    assert second.process.pid not in loaded_by(start)

    other = serve(start, port, ENV={"SENTRY_DSN": ""})
    assert f"not preloading, because {REASON}" in other.output
    assert AGAIN not in other.output
    assert other.process.pid in loaded_by(start)


def test_explain_and_check_tell_the_decision(start: Starter, port: int) -> None:
    web = serve(start, port)
    assert web.stop() == 0
    env = start.environment({"web": config("gunicorn-2", port)}, TEST_APPS=APPS)
    explained = running([*MANAGE, "web", "--explain"], env=env)
    assert f"not preloaded at the last start, because {REASON}" in explained.stdout
    checked = running(
        [MANAGE[0], "manage.py", "check", "--deploy", "--tag=prodserver"], env=env
    )
    assert "prodserver.W015" in checked.stderr
    assert REASON in checked.stderr


def test_true_keeps_the_preload_and_says_what_was_found(
    start: Starter, port: int
) -> None:
    # What an earlier start has decided does not matter.
    assert serve(start, port).stop() == 0
    loaded_by(start)
    web = serve(start, port, PRELOAD=True)
    assert web.output.count(f"preloading, although {REASON}: PRELOAD is True") == 1
    assert "not preloading" not in web.output
    about = web.about()
    assert about["ppid"] == web.process.pid
    assert about["frozen"]
    assert loaded_by(start) == [web.process.pid]


def test_true_does_not_override_what_must_be_loaded_by_the_server(
    start: Starter, port: int
) -> None:
    entry = config("gunicorn", port, {"reload": True}, PRELOAD=True)
    web = start.web(entry, port=port, via=MODULE, TEST_APPS=APPS)
    assert "preloading, although" not in web.output
    assert web.process.pid not in loaded_by(start)
