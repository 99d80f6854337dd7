"""Print results to a reader that may go away, such as ``head``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from django_prodserver.exceptions import ExitCode


def writer(stream: Any) -> Callable[[str], None]:
    """
    Return a function that prints a text, and exits quietly if the reader has gone.

    Args:
        stream: A text stream, or the ``stdout`` of a management command.
    """

    def write(text: str) -> None:
        if stream is None:  # closed from the start, as by ">&-"
            return
        with quietly(stream):
            stream.write(text if text.endswith("\n") else f"{text}\n")
            # Now: at the end, an error would no longer be ours to handle.
            stream.flush()

    return write


@contextlib.contextmanager
def quietly(stream: Any) -> Iterator[None]:
    """Exit without a message if a block writes to a pipe without a reader."""
    try:
        yield
    except BrokenPipeError:
        # Python flushes the rest at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        sys.exit(ExitCode.OUTPUT_CLOSED)
