"""Every fault of ``PRODUCTION_PROCESSES`` as a Django system check."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error

from django_prodserver.backends import loading
from django_prodserver.exceptions import ConfigurationError

TAG = "prodserver"


def check_processes(**kwargs: Any) -> list[CheckMessage]:
    """Return all faults at once; a start stops at the first."""
    return [_error(fault) for fault in loading.all_faults()]


def _error(fault: ConfigurationError) -> Error:
    return Error(fault.message, hint=fault.hint or None, id=fault.fault)
