"""The samples of the pages are tests: docs/_ext/collecting.py."""

from docs._ext.collecting import pytest_collect_file

__all__ = ["collect_ignore", "pytest_collect_file"]

collect_ignore = ["_build", "shop"]
