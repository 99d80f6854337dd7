"""Hypercorn's logger: its lines are the log's lines."""

from __future__ import annotations

import logging

from hypercorn import logging as native
from hypercorn.config import Config

from django_prodserver.logs.config import attach_to_root


class Logger(native.Logger):
    """
    Hand Hypercorn's lines on to the root logger, and to what LOGGING names.

    An access log of Hypercorn's own to standard output is the one that there is
    anyhow; to a file, it is Hypercorn's.
    """

    def __init__(self, config: Config) -> None:
        attach_to_root()
        error = logging.getLogger("hypercorn.error")
        access = logging.getLogger("hypercorn.access")
        configured = error.handlers, access.handlers
        super().__init__(config)
        if config.errorlog == "-":
            error.handlers = configured[0]
        if config.accesslog in (None, "-"):
            access.handlers = configured[1]
            self.access_logger = access if access.handlers else None
