"""Where ``MEDIA_ROOT`` is no problem; tests/containers/test_field.py has the others."""

from __future__ import annotations

import pytest

from django_prodserver.launch import media


@pytest.mark.parametrize("root", ["", None, 5, "/nonexistent/media", "a\0b"])
def test_no_directory_is_not_warned_of(root, settings):
    settings.MEDIA_ROOT = root
    assert list(media.warnings()) == []


def test_a_directory_that_is_no_volume_is_not_warned_of(settings, tmp_path):
    """It may be read-only by intention, as the rest of the code is."""
    tmp_path.chmod(0o555)
    settings.MEDIA_ROOT = tmp_path
    assert list(media.warnings()) == []
    settings.MEDIA_ROOT = "/proc/self"
    assert list(media.warnings()) == []


def test_a_volume_that_is_read_only_is_not_warned_of(settings):
    settings.MEDIA_ROOT = "/sys"
    assert list(media.warnings()) == []
