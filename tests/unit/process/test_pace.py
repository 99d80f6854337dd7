"""How fast a client must send the rest of its request."""

import pytest

from django_prodserver.process import pace


@pytest.mark.parametrize(
    ("received", "seconds", "is_too_slow"),
    [
        (0, 4.9, False),  # whoever it is has this time
        (0, 5.1, True),
        (20, 6, True),  # a byte now and then
        (600, 6, False),
        (2000, 20, True),  # it has begun well, and stopped
        (8000, 20, False),
    ],
)
def test_too_slow(received: int, seconds: float, is_too_slow: bool) -> None:
    assert pace.is_too_slow(received, seconds) is is_too_slow
