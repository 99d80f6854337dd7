"""Reject command-line options that neither prodserver nor the server has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django_prodserver.backends.base import Backend, CommandBackend
from django_prodserver.config.argv import OptionTable, groups
from django_prodserver.exceptions import UsageError
from django_prodserver.text import did_you_mean, safe_repr


def reject(
    typed: Sequence[str], ours: Sequence[str], backend: Backend | None = None
) -> None:
    """
    Reject an unknown option before anything is started, and suggest the right one.

    Args:
        typed: The words of the command line that prodserver does not know.
        ours: The options of prodserver.
        backend: The backend, if it is known.

    Raises:
        UsageError: There is no such option.
    """
    table = backend.option_table if backend else OptionTable()
    command = backend.as_command() if backend else None
    for flag in _flags(typed, table):
        if backend and table.may_take(flag):
            # The server would accept it, but "--initg" hardly means "--initgroups".
            if switch := table.abbreviates_switch(flag):
                raise _error(flag, f"Did you mean {switch!r}?")
            continue
        hint = _nearest_of_ours(flag, ours, table)
        if not hint and command:
            hint = _nearest_of_installed(flag, command)
        if hint:
            raise _error(flag, hint)


def _flags(typed: Sequence[str], table: OptionTable) -> Iterator[str]:
    """Yield the long options; a short one is close to too many others."""
    for name, words in groups(typed, table):
        if name and words[0][:2] == "--":
            yield words[0].partition("=")[0]


def _nearest_of_ours(flag: str, ours: Sequence[str], table: OptionTable) -> str:
    """Return a hint if an option is closer to one of ours than to the server's."""
    names = {option.lstrip("-"): option for option in ours}
    bare = flag.lstrip("-").replace("_", "-")
    hint = did_you_mean(bare, names, names)
    is_ours = hint == did_you_mean(bare, [*table.spellings, *names], names)
    return hint if is_ours else ""


def _nearest_of_installed(flag: str, backend: CommandBackend) -> str:
    """Return a hint if the installed server only has a similar option."""
    # Imported here: most command lines have no unknown option.
    from django_prodserver.checks import server_options

    installed = backend.installed_options()
    if installed is None:
        return ""
    try:
        options, _ = server_options.read(installed)
    except Exception:
        # The server is not installed, stores its options differently, or is a
        # management command and Django is not set up yet.
        options = backend.option_table
    if options.knows(flag):
        return ""
    names = {
        spelling: option.on or option.off
        for option in options.options
        for spelling in (option.name, *option.spellings)
    }
    return did_you_mean(flag.lstrip("-").replace("_", "-"), names, names)


def _error(flag: str, hint: str) -> UsageError:
    message = f"Unknown option {safe_repr(flag)}."
    return UsageError(message, f"{hint} If it is a server option, put it after --.")
