"""A Celery app whose project configures logging by Celery's signals."""

import logging
import os
from logging.config import dictConfig
from typing import Any

from celery import signals
from django.conf import settings

from proj.celery import app

__all__ = ["app"]


def set_up(**kwargs: Any) -> None:
    dictConfig(settings.LOGGING)


def note(logger: logging.Logger, **kwargs: Any) -> None:
    logger.warning("called for %s", logger.name)


if os.environ.get("TEST_SETS_UP_LOGGING"):
    signals.setup_logging.connect(set_up)
signals.after_setup_logger.connect(note)
signals.after_setup_task_logger.connect(note)
