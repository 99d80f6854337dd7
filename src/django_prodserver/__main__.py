"""``python -m django_prodserver NAME``: the console command ``prodserver``."""

from __future__ import annotations

import sys
from typing import NoReturn

from django_prodserver.exceptions import ExitCode, ProdserverError
from django_prodserver.process import entry, termination_log


def main() -> NoReturn:
    """Run ``prodserver``, or report that Django is not installed."""
    try:
        # Before anything large is imported, because it may start Python again.
        entry.enter_configured(sys.argv[1:])
    except ProdserverError as error:
        termination_log.exit_with(error)
    try:
        from django_prodserver.commands import cli
    except ModuleNotFoundError as error:
        if error.name != "django":
            raise
        # This happens only in an image; elsewhere pip has installed Django too.
        message = (
            f"prodserver: Django is not installed in {sys.prefix}.\n"
            'Install your project there: pip install "django-prodserver[gunicorn]"'
        )
        print(message, file=sys.stderr)
        termination_log.write(message)
        sys.exit(ExitCode.CONFIGURATION)
    cli.main()


if __name__ == "__main__":
    main()
