"""How fast a client must send the rest of its request once a stop has started."""

from __future__ import annotations

# Seconds in which nothing is asked of it, and bytes a second after that. An upload
# over the slowest line is faster; a client that sends a byte now and then is not.
_GRACE = 5.0
_BYTES_PER_SECOND = 500


def is_too_slow(received: int, seconds: float) -> bool:
    """
    Tell whether a client that has not finished its request may be disconnected.

    Args:
        received: The bytes that it has sent since the stop began.
        seconds: How long ago that was.
    """
    return received < (seconds - _GRACE) * _BYTES_PER_SECOND
