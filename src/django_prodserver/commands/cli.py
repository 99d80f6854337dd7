"""The command line: parse the arguments and run what they ask for."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import ImproperlyConfigured

from django_prodserver.commands import explain as explain_command
from django_prodserver.commands import printing, settings_error, unknown_options
from django_prodserver.commands.compare import options as compare_options
from django_prodserver.config import processes
from django_prodserver.exceptions import (
    ConfigurationError,
    Fault,
    ProdserverError,
    UnknownProcess,
    UsageError,
)
from django_prodserver.health import state
from django_prodserver.launch import launcher
from django_prodserver.launch.plan import Plan, make_plan
from django_prodserver.logs import config
from django_prodserver.process import fork_safety, project, termination_log
from django_prodserver.process.executable import Program
from django_prodserver.process.fork_safety import Snapshot
from django_prodserver.text import is_missing

if TYPE_CHECKING:
    from django_prodserver.commands.runbook import Explained

USAGE = "%(prog)s [options] [NAME] [server options] [-- server options]"
EPILOG = (
    "NAME is a key of PRODUCTION_PROCESSES. The default is PROCESS_NAME, then web, "
    "then the only process. Options that are not listed here are passed to the server "
    "and override the settings. If a server option has the same name as one of these, "
    "put it after --."
)

Write = Callable[[str], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``prodserver``."""
    add_name(parser)
    parser.add_argument(
        "--init",
        action="store_true",
        help="Set up this project: settings, requirements, Dockerfile, compose.yaml. "
        "Shows the changes and asks; with --dry-run, it only shows them.",
    )
    parser.add_argument("--yes", action="store_true", help="With --init: ask nothing.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--list", action="store_true", help="List the processes and their commands."
    )
    mode.add_argument(
        "--dry-run",
        action="store_true",
        help="Print the native command, ready to paste into a shell, and exit.",
    )
    add_explain(mode)
    parser.add_argument(
        "--native",
        dest="standalone",
        action="store_true",
        help="With --dry-run: print a command that works without django-prodserver.",
    )
    mode.add_argument(
        "--compare",
        nargs="*",
        metavar="PATH",
        help="Measure the process on each installed server, with requests for these "
        "paths (default: /), and exit; or a worker at several concurrencies.",
    )
    mode.add_argument(
        "--all",
        action="store_true",
        help="Run the named processes, or all of them, in this terminal. When one "
        "exits, the others are stopped.",
    )
    add_export(mode)
    add_printing(parser)


def add_explain(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--explain",
        action="store_true",
        help="Print each option of the command, its value and where it comes from, "
        "and exit.",
    )


def add_export(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--export",
        metavar="FORMAT",
        help="Print the processes as files for a platform: compose, kubernetes, "
        "systemd, procfile or kamal.",
    )


def add_printing(parser: argparse.ArgumentParser) -> None:
    """Add the options that control the output."""
    parser.add_argument(
        "--format",
        choices=("text", "json", "html"),
        default="text",
        help="How --list, --explain and --compare print (default: text); html is a "
        "page for --explain, of all processes unless some are named.",
    )
    parser.add_argument(
        "--show-secrets",
        action="store_true",
        help="Print secrets instead of ***.",
    )


def add_name(parser: argparse.ArgumentParser) -> None:
    """Describe NAME and the server's options, which ``split`` collects."""
    parser.usage = USAGE
    parser.epilog = EPILOG


def split(args: Sequence[str], parser: argparse.ArgumentParser) -> argparse.Namespace:
    """
    Parse our options, and put the rest in ``names`` and ``native``.

    ``typed`` holds the server options before "--", and ``ours`` the names of our
    options: see ``unknown_options.reject``.
    """
    args = list(args)
    # argparse would leave --help to be flushed at the end.
    parser.print_help = lambda file=None: printing.writer(sys.stdout)(  # type: ignore[method-assign]
        parser.format_help()
    )
    end = args.index("--") if "--" in args else len(args)
    # Only then: servers have options of the same names.
    if {"-h", "--help", "--compare"}.intersection(args[:end]):
        compare_options.add_arguments(parser)
    given = {word.partition("=")[0] for word in args[:end]}
    if {"-h", "--help", "--explain", "--export"} & given:
        parser.add_argument(
            "-o",
            "--output",
            type=Path,
            metavar="FILE",
            help="With --explain: write to a file; with --export, to a directory.",
        )
    if {"-h", "--help", "--export"} & given:
        parser.add_argument(
            "--check",
            type=Path,
            metavar="DIR",
            help="With --export: compare the files in a directory with the settings; "
            "exits with 1 and a diff if they differ.",
        )
    namespace, words = parser.parse_known_args(args[:end])
    native = args[end + 1 :]
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    namespace.names = names
    namespace.native = [*words[len(names) :], *native]
    namespace.typed = words[len(names) :]
    namespace.ours = [
        option for option in parser._option_string_actions if option[:2] == "--"
    ]
    return namespace


def run(
    *,
    names: Sequence[str] = (),
    native: Sequence[str] = (),
    write: Write,
    before: Snapshot | None = None,
    entry: Program | None = None,
    **options: Any,
) -> int:
    """
    Run the parsed command line.

    Args:
        names: The processes.
        native: The server's own options.
        write: Prints a result.
        before: A snapshot from before the settings were loaded, if one was taken.
        entry: The project's entry, if it started this process.
        options: The other options of the command line.

    Returns:
        The exit code, unless this process is replaced by the server.

    Raises:
        ProdserverError: There is an error that the user can fix.
    """
    if options.get("init") or options.get("yes"):
        return init(names, native, write, options.get("settings") or "", **options)
    show = bool(options.get("show_secrets"))
    standalone = bool(options.get("standalone"))
    if standalone and not options.get("dry_run"):
        hint = "To start a process without preloading, set PRELOAD: False for it."
        raise UsageError("--native only works with --dry-run.", hint)
    as_page = options.get("format") == "html"
    if as_page and not options.get("explain"):
        raise UsageError("--format html only works with --explain.")
    if options.get("export") is not None:
        if native:
            message = f"--export takes only process names, not {native[0]}."
            raise UsageError(message, "Server options belong in the settings: ARGS.")
        from django_prodserver.commands.export import command as export

        output, check = options.get("output"), options.get("check")
        return export.run(options["export"], names, write, output, check)
    if options.get("list"):
        if names or native:
            raise UsageError("--list takes no names. It lists all processes.")
        # Imported here, because a start does not need it.
        from django_prodserver.commands import listing

        as_json = options.get("format") == "json"
        write(listing.as_json(show) if as_json else listing.as_text(show))
        return 0
    if options.get("all"):
        if native:
            message = f"--all takes only process names, not {native[0]}."
            hint = "To pass options to the server, start one process at a time."
            raise UsageError(message, hint)
        from django_prodserver.commands import run_all

        return run_all.run(names, entry)
    typed, ours = options.get("typed", ()), options.get("ours", ())
    if as_page and len(names) != 1:
        from django_prodserver.commands import runbook

        if native:
            hint = "Name one process for options of the command line."
            raise UsageError(f"Which process is {native[0]} for?", hint)
        _write_page(runbook.plans(names), write, entry, **options)
        return 0
    try:
        process = processes.process(only(names))
    except UnknownProcess:
        unknown_options.reject(typed, ours)
        raise
    if options.get("compare") is not None:
        from django_prodserver.commands.compare import command

        unknown_options.reject(typed, ours)
        return command.run(process, native, write, entry, **options)
    if not (options.get("explain") or options.get("dry_run")):
        config.set_format(process.name, process.config.get("LOG_FORMAT"))
    plan = make_plan(process, native, native=standalone)
    unknown_options.reject(typed, ours, plan.backend)
    plan.check()
    if options.get("explain"):
        explain(plan, write, entry, **options)
        return 0
    if options.get("dry_run"):
        from django_prodserver.commands import listing

        notes = [*plan.notes, *(listing.native_notes(plan) if standalone else ())]
        for note in notes:
            print(f"prodserver: {note}", file=sys.stderr)
        write(listing.command_line(plan, show, entry))
        return 0
    launcher.start(plan, before, entry)


def init(
    names: Sequence[str],
    native: Sequence[str],
    write: Write,
    settings_module: str,
    **options: Any,
) -> int:
    """
    Set up the project of the working directory.

    Raises:
        ProdserverError: The user can put it right.
    """
    if not options.get("init"):
        raise UsageError("--yes only goes with --init.")
    unknown_options.reject(options.get("typed", ()), options.get("ours", ()))
    extra = [*names, *native]
    for option in ("list", "explain", "compare", "all", "export", "output", "check"):
        # --compare without paths is an empty list.
        if options.get(option) not in (None, False):
            extra.append(f"--{option}")
    if options.get("standalone"):
        extra.append("--native")
    if extra:
        message = f"--init does not go with {extra[0]}."
        raise UsageError(message, "It goes with --yes, --dry-run and --settings only.")
    try:
        from django_prodserver.commands.init import run as run_init
    except ModuleNotFoundError as error:
        if not is_missing("django_prodserver.commands.init", error.name):
            raise
        message = "--init does not work in a container: the image does not have it."
        hint = (
            "Install django-prodserver on your machine, and run it in your project's "
            "directory: prodserver --init"
        )
        raise UsageError(message, hint) from None

    return run_init(
        yes=bool(options.get("yes")),
        dry_run=bool(options.get("dry_run")),
        settings_module=settings_module,
        write=write,
    )


def explain(
    plan: Plan, write: Write, entry: Program | None = None, **options: Any
) -> None:
    """Print where each option of a command comes from."""
    if options.get("format") == "html":
        from django_prodserver.commands import runbook

        _write_page([runbook.of_plan(plan)], write, entry, **options)
        return
    as_json = options.get("format") == "json"
    how = explain_command.as_json if as_json else explain_command.as_text
    _output(how(plan, bool(options.get("show_secrets")), entry), write, **options)


def _write_page(
    explained: Sequence[Explained], write: Write, entry: Program | None, **options: Any
) -> None:
    from django_prodserver.commands import runbook

    page = runbook.as_html(explained, bool(options.get("show_secrets")), entry)
    _output(page, write, **options)


def _output(
    text: str, write: Write, output: Path | None = None, **options: Any
) -> None:
    """
    Print a text, or write it to the file that ``--output`` names.

    Raises:
        UsageError: The file cannot be written.
    """
    if output is None:
        write(text)
        return
    try:
        output.write_text(f"{text.rstrip()}\n")
    except OSError as error:
        message = f"--output {output} cannot be written: {error.strerror}."
        raise UsageError(message, "Name a file in a directory that exists.") from None


def only(names: Sequence[str]) -> str | None:
    """Return the only name, or None if there is none."""
    # If the first word is not a process, the error about that is more useful.
    if len(names) > 1 and names[0] in processes.table():
        message = f"prodserver starts one process, not several: {' '.join(names)}."
        raise UsageError(message, f"To run several: prodserver --all {' '.join(names)}")
    return names[0] if names else None


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """
    Run ``prodserver``, which does what manage.py does but imports less.

    ``DJANGO_SETTINGS_MODULE`` names the settings, and the working directory is on
    the Python path.
    """
    parser = argparse.ArgumentParser(
        prog="prodserver",
        description="Start one of the processes in PRODUCTION_PROCESSES.",
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.add_argument("--settings", help="The settings module, as a dotted path.")
    parser.add_argument("--pythonpath", help="A directory to add to the Python path.")
    parser.add_argument(
        "--traceback", action="store_true", help="Show the traceback of an error."
    )
    parser.add_argument(
        "--version", action="store_true", help="Print the version and exit."
    )
    # Accepted, as by manage.py, so that one command line works for both; no effect.
    for flag in ("--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(flag, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("-v", "--verbosity", help=argparse.SUPPRESS)
    write = printing.writer(sys.stdout)
    words = sys.argv[1:] if argv is None else argv
    options = vars(split(words, parser))
    if options["version"]:
        from importlib import metadata  # slow to import

        write(metadata.version("django-prodserver"))
        sys.exit(0)
    if options["settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = options["settings"]
    # First on the path, as with "python -m" and manage.py.
    for folder in (os.getcwd(), options["pythonpath"]):  # noqa: PTH109
        if folder and folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        if options["init"] or options["yes"]:
            module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
            sys.exit(init(write=write, settings_module=module, **options))
        before = fork_safety.snapshot()
        ends = any(options[name] for name in ("list", "all", "explain", "dry_run"))
        ends = ends or options["export"] is not None
        if not ends and options["compare"] is None:
            config.configure_before_settings(_named(options["names"]))
        _load_settings()
        sys.exit(run(write=write, before=before, **options))
    except ProdserverError as error:
        if options["traceback"]:
            raise
        termination_log.exit_with(error)


def _named(names: Sequence[str]) -> str:
    """Return the name of the process; "" if only the settings can tell."""
    name = names[0] if names else os.environ.get("PROCESS_NAME", "")
    return name if name and state.is_name(name) else ""


def _load_settings() -> None:
    """
    Load the settings module.

    Raises:
        ConfigurationError: It is not set, does not exist, or raises an error.
    """
    name = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not name:
        message = "DJANGO_SETTINGS_MODULE is not set, so the settings cannot be found."
        hint = "For example: DJANGO_SETTINGS_MODULE=project.settings prodserver web"
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint)
    from django.conf import settings

    try:
        project.install_settings_importer()
        settings.INSTALLED_APPS  # noqa: B018  # the first access imports them
    except ImproperlyConfigured as error:
        # The project's own message names the missing package.
        message = f"The settings {name!r} cannot be used: {error}"
        hint = (
            f"The error was raised while loading {name}. To see where, add --traceback."
        )
        if "configurations" in sys.modules and not os.environ.get(
            project.CONFIGURATION
        ):
            hint = project.CONFIGURATION_HINT
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint) from error
    except Exception as error:
        if not (
            isinstance(error, ModuleNotFoundError) and is_missing(name, error.name)
        ):
            raise settings_error.describe(name, error) from error
        message = f"The settings {name!r} were not found: no module {error.name!r}."
        hint = f"Run it in the project's directory. This one is {os.getcwd()}."  # noqa: PTH109
        raise ConfigurationError(Fault.NO_SETTINGS, message, hint) from None
