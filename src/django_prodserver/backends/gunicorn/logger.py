"""Gunicorn's logger, for ``--logger-class``."""

from __future__ import annotations

from typing import Any

from gunicorn import glogging

from django_prodserver.logs.config import attach_to_root


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Pass gunicorn's lines to the root logger.

    Gunicorn's own access log is only written if it goes to a file: on standard
    output it would repeat ours.
    """

    def setup(self, cfg: Any) -> None:
        """Configure gunicorn's loggers, after the root logger."""
        attach_to_root()
        super().setup(cfg)

    def _set_handler(self, log: Any, output: str | None, *args: Any, **kw: Any) -> None:
        if output == "-":
            log.propagate = log is self.error_log
        else:
            super()._set_handler(log, output, *args, **kw)

    @property
    def access_log_enabled(self) -> bool:
        """Whether it has a handler, from gunicorn or from the user's LOGGING."""
        return bool(self.access_log.handlers)
