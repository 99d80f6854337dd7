"""Servers and workers that ``PRODUCTION_PROCESSES`` can name."""
