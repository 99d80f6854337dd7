"""Gunicorn's logger, for ``--logger-class``."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn import glogging

from django_prodserver.backends.gunicorn import upgrade
from django_prodserver.logs.config import attach_to_root


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Pass gunicorn's lines to the root logger.

    Gunicorn's own access log is only written if it goes to a file: on standard
    output it would repeat ours.
    """

    def setup(self, cfg: Any) -> None:
        """Configure gunicorn's loggers, after the root logger."""
        upgrade.take_over_state()
        attach_to_root()
        super().setup(cfg)

    def _set_handler(self, log: Any, output: str | None, *args: Any, **kw: Any) -> None:
        if output != "-":
            super()._set_handler(log, output, *args, **kw)
        elif log is self.error_log:
            handler: Any = _PropagatingHandler()
            handler._gunicorn = True  # setup() replaces it
            log.addHandler(handler)

    @property
    def access_log_enabled(self) -> bool:
        """Whether it has a handler, from gunicorn or from the user's LOGGING."""
        return bool(self.access_log.handlers)


class _PropagatingHandler(logging.Handler):
    """
    Passes records to the handlers of the loggers above.

    ``uvicorn_worker`` gives its own loggers the handlers of gunicorn's, and does not
    let them propagate.
    """

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger("gunicorn").callHandlers(record)
