"""Print results to a reader that may go away, such as ``head``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from django_prodserver.exceptions import ExitCode


def writer(stream: Any) -> Callable[[str], None]:
    """
    Return a function that prints a text, and exits quietly if nobody reads it.

    Args:
        stream: A text stream, or the ``stdout`` of a management command.
    """

    def write(text: str) -> None:
        if stream is None:  # closed from the start, as by ">&-"
            return
        try:
            stream.write(text if text.endswith("\n") else f"{text}\n")
            # Now: at the end, an error would no longer be ours to handle.
            stream.flush()
        except BrokenPipeError:
            _discard(stream)
            sys.exit(ExitCode.OUTPUT_CLOSED)

    return write


def _discard(stream: TextIO) -> None:
    """Send what Python still flushes at the end to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
