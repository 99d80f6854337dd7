"""Send Hypercorn's log records to our handlers."""

from __future__ import annotations

import logging

from hypercorn import logging as native
from hypercorn.config import Config

from django_prodserver.logs.config import attach_to_root


class Logger(native.Logger):
    """
    Pass Hypercorn's records to the root logger and to the handlers of LOGGING.

    Without a handler in LOGGING, Hypercorn's own access log is written only to a
    file: on standard output it would repeat ours.
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
