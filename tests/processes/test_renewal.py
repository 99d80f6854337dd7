"""Workers and masters are replaced under load, and no request is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Starter
from tests.renewal import Renewal
from tests.servers import config

pytestmark = pytest.mark.process


def test_gunicorn_loses_no_request(start: Starter, port: int) -> None:
    """SIGHUP, SIGUSR2 and MAX_REQUESTS; benchmarks.renewals has more of each."""
    entry: dict[str, Any] = config("gunicorn-2", port, {"threads": 4}, MAX_REQUESTS=200)
    renewed = Renewal(start, entry, port, 2000).run(["HUP", "USR2"])
    assert not renewed.load.lost
    assert not renewed.doubts
    assert renewed.probed
    # Two of each generation, and those that were replaced for their requests.
    assert len(renewed.load.answers) > 6
    assert max(renewed.load.answers.values()) <= 250
