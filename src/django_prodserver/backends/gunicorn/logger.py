"""Gunicorn's logger, for ``--logger-class``: its lines are the log's lines."""

from __future__ import annotations

from typing import Any

from gunicorn import glogging

from django_prodserver.logs.config import attach_to_root


class Logger(glogging.Logger):  # type: ignore[misc]
    """
    Hands gunicorn's lines on to the root logger.

    An access log of gunicorn's own to standard output is the one that there is
    anyhow; to a file, it is gunicorn's.
    """

    def setup(self, cfg: Any) -> None:
        attach_to_root()
        super().setup(cfg)

    def _set_handler(self, log: Any, output: str | None, *args: Any, **kw: Any) -> None:
        if output == "-":
            log.propagate = log is self.error_log
        else:
            super()._set_handler(log, output, *args, **kw)

    @property
    def access_log_enabled(self) -> bool:
        """Whether there is a handler for it, gunicorn's or of the user's LOGGING."""
        return bool(self.access_log.handlers)
