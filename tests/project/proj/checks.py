"""A check that fails while the test wants it to."""

from django.conf import settings


def flag() -> None:
    file = settings.DATA / "down"
    if file.exists():
        raise OSError(file.read_text())
