"""Programs that run in the containers, with the containers' own Python."""

from __future__ import annotations

from importlib import resources


def command_line(name: str, *args: str, site: bool = False) -> list[str]:
    """
    Return the command line that runs one of these programs in a container.

    Args:
        name: The file's name, without ``.py``.
        args: Its arguments.
        site: Whether it needs the packages that are installed in the container.
            Python starts faster without them.
    """
    source = resources.files(__name__).joinpath(f"{name}.py").read_text()
    return ["python", *(() if site else ("-I", "-S")), "-c", source, *args]
