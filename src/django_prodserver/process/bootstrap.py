"""Set up Django in a process, and our part of it: logging and request handlers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from django_prodserver.config.context import OFF, ON, Context
from django_prodserver.exceptions import ConfigurationError, Fault
from django_prodserver.logs import config
from django_prodserver.process import project


def set_up_django() -> None:
    """Set up Django unless the application has, and prepare this process."""
    from django.apps import apps

    if not apps.ready:
        import django

        project.install_settings_importer()
        with named_driver_errors():
            django.setup()
    prepare()


@contextlib.contextmanager
def named_driver_errors() -> Iterator[None]:
    """
    Report the missing package if Django cannot import a database driver.

    Raises:
        ConfigurationError: The driver or one of its libraries is not installed.
    """
    from django.core.exceptions import ImproperlyConfigured

    try:
        yield
    except ImproperlyConfigured as error:
        if not (causes := list(_import_errors(error))):
            raise
        # Django tries psycopg2 last, and only reports that.
        cause = next(
            (each for each in causes if not isinstance(each, ModuleNotFoundError)),
            causes[-1],
        )
        said = str(error)
        reason = said if str(cause) in said else f"{said}: {cause}"
        reason = " ".join(reason.split())
        if "libpq" in reason:
            hint = "Install libpq5 (apt-get install libpq5), or psycopg[binary]."
        else:
            hint = f'Install it: python -m pip install "{_driver(causes)}"'
        message = f"A database driver cannot be loaded: {reason}"
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint) from error


def _import_errors(error: BaseException | None) -> Iterator[ImportError]:
    """Yield the failed imports that caused an error, the last one first."""
    while error := error and (error.__cause__ or error.__context__):
        if isinstance(error, ImportError):
            yield error


def _driver(causes: Sequence[ImportError]) -> str:
    """Return the package to install for the missing modules."""
    packages = {"MySQLdb": "mysqlclient", "oracledb": "oracledb"}
    names = [str(cause.name) for cause in causes]
    found = [package for name, package in packages.items() if name in names]
    return found[0] if found else "psycopg[binary]"


def prepare(context: Context | None = None) -> None:
    """
    Configure logging, and wrap Django's request handlers.

    Safe to call again after something has configured LOGGING again.

    Args:
        context: How the process was started; by default, as the launcher has set it.
    """
    context = context or Context.from_environment()
    if context is None:
        return
    # Imported here, because listing and explaining need neither Django's handlers nor
    # its database modules.
    from django_prodserver.middleware import access_log

    config.configure(context)
    if not context.logs_natively:
        _prepare_after_each_setup()
        access_log.install(_is_access_log_ours(context.access_log))


def _is_access_log_ours(access_log: str) -> bool:
    if access_log in (ON, OFF):
        return access_log == ON
    # The server's own access log, if LOGGING has handlers for it.
    return not logging.getLogger(access_log).handlers


def _prepare_after_each_setup() -> None:
    """
    Prepare this process again whenever something calls ``django.setup()`` again.

    Celery and ``django-admin`` do, and LOGGING is then applied again.
    """
    from django.utils import log

    native = log.configure_logging
    if getattr(native, "is_ours", False):
        return

    def configure_logging(*args: Any) -> None:
        native(*args)
        prepare()

    module: Any = log
    module.configure_logging = configure_logging
    module.configure_logging.is_ours = True
