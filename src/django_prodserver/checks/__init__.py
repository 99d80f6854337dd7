"""System checks for ``PRODUCTION_PROCESSES`` and ``PRODSERVER_HEALTH``."""
