"""What the tests of the backends share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

# Before they are imported: a failure in them shows the values.
pytest.register_assert_rewrite("tests.backends.contract", "tests.backends.sites")

from tests.backends.sites import Broker  # noqa: E402


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Redis of this test's own, which it may kill."""
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()
