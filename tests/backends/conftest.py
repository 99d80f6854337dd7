"""Fixtures of the backends' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# Must precede their import, so that failed assertions in them show values.
pytest.register_assert_rewrite("tests.backends.contract", "tests.backends.sites")

from tests.backends.sites import Broker  # noqa: E402


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Redis for this test alone, which it may kill."""
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()
