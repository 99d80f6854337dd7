"""Programs that run in the containers, by the containers' own Python."""

from __future__ import annotations

from importlib import resources


def program(name: str, *args: str, site: bool = False) -> list[str]:
    """
    Return the command line that runs one of these files in a container.

    Args:
        name: The file's, without ``.py``.
        args: Its arguments.
        site: Whether it needs what is installed there; it starts quicker without.
    """
    source = resources.files(__name__).joinpath(f"{name}.py").read_text()
    return ["python", *(() if site else ("-I", "-S")), "-c", source, *args]
