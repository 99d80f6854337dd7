"""Run ``--compare``, and print what it has measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from django_prodserver.backends import loader
from django_prodserver.backends.web import WebBackend
from django_prodserver.commands.compare import options as compare_options
from django_prodserver.commands.compare import plot, report, web, worker
from django_prodserver.commands.compare.interruption import Interruption
from django_prodserver.config.processes import Process
from django_prodserver.exceptions import UsageError
from django_prodserver.process.executable import Program


def run(
    process: Process,
    native: Sequence[str],
    write: Callable[[str], Any],
    entry: Program | None = None,
    **options: Any,
) -> int:
    """
    Compare the backends that can run a process.

    Args:
        process: The process.
        native: Options that are not ours: there may be none.
        write: What prints the result.
        entry: The project's entry, if that has started this process.
        options: The options of the command line.

    Returns:
        The exit code: 0, or that of an interruption.

    Raises:
        ProdserverError: Nothing can be compared.
    """
    # call_command may give only some of them.
    options = {**compare_options.DEFAULTS, **options}
    if native:
        message = f"--compare does not take {native[0]}."
        hint = "Write the server's options in ARGS. Paths come right after --compare."
        raise UsageError(message, hint)
    if sys.platform == "win32":
        raise UsageError("--compare does not run on Windows.", "Run it in WSL.")
    file = options["plot"]
    if file and file.suffix != ".svg":
        raise UsageError(f"--plot writes SVG, not {file.name}.", "--plot compare.svg")
    if file and not file.absolute().parent.is_dir():
        message = f"--plot {file}: there is no directory {file.parent}."
        raise UsageError(message, f"Create it: mkdir -p {file.parent}")
    backend = loader.load(process)
    interruption = Interruption()
    comparison: web.Comparison | worker.Comparison
    if backend.kind == "worker":
        if options["compare"]:
            message = f"A worker has no paths, such as {options['compare'][0]}."
            raise UsageError(message, "Name a task: --task shop.tasks.send_mail")
        comparison = worker.Comparison(process, options, entry, _say, interruption)
    elif isinstance(backend, WebBackend) and backend.as_command():
        paths = compare_options.check_paths(options["compare"])
        comparison = web.Comparison(process, paths, options, entry, _say, interruption)
    else:
        message = "--compare measures web servers and workers, and "
        message += f"{process.name!r} is neither."
        raise UsageError(message, "See what there is: prodserver --list")
    with interruption.listening():
        comparison.run()
    result = comparison.result
    as_json = options.get("format") == "json"
    write(report.as_json(result) if as_json else report.as_text(result))
    if file and result.measured():
        file.write_text(plot.as_svg(result))
        _say(f"wrote {file}")
    return interruption.exit_code


def _say(line: str) -> None:
    print(f"prodserver: {line}", file=sys.stderr, flush=True)
