"""The command line ``prodserver-conformance IMAGE``, and its exit codes."""

from __future__ import annotations

import argparse
import ast
import contextlib
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from django_prodserver.exceptions import ProdserverError, UsageError
from prodserver_conformance.checks import MODULES
from prodserver_conformance.options import Options, read_env

_HERE = Path(__file__).parent
EPILOG = """\
exits with:
  0    every row passed
  1    a row failed (with --strict: or was skipped)
  2    the command line is wrong: no such image, row, process or network
  69   no Docker engine answers
  70   an error in this program
  78   pytest or testcontainers is missing
  130, 143   interrupted by Ctrl-C or SIGTERM

Containers get the variables of --env, and CONFORMANCE_SECRET_TOKEN, a secret to
search for. All containers are removed at the end."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="prodserver-conformance",
        description="Check that an image keeps the guarantees of prodserver-base.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("image", metavar="IMAGE", nargs="?", default="", help="The image to check.")
    add("--list", action="store_true", help="List the rows and exit.")
    several = partial(add, action="append", default=[])
    several("-e", "--env", metavar="NAME=VALUE", help="A variable for the containers.")
    add(
        "--env-file",
        default="",
        metavar="FILE",
        help="A file with such variables, one per line.",
    )
    several(
        "--process",
        metavar="NAME",
        help="A process to check (default: the default process, and worker).",
    )
    several("--only", metavar="ROW", help="Check this row; may be repeated.")
    several(
        "--before",
        metavar="NAME",
        help="A process to run to completion first, such as release.",
    )
    several(
        *("-v", "--volume"),
        metavar="[SOURCE:]PATH",
        help="A volume, as for docker run; without SOURCE, a new one for this run.",
    )
    add(
        "--network", default="", help="A network to join, such as that of the database."
    )
    add("--timeout", type=_number, default=60, help="Seconds to become healthy (60).")
    add("--grace", type=_number, default=30, help="Seconds to stop (30).")
    add("--host", default="localhost", help="The Host of requests (localhost).")
    add(
        "--slow-path",
        default="",
        metavar="PATH",
        help="A page that takes seconds, for the request in flight at a stop "
        "(default: a request whose body comes slowly).",
    )
    add(
        "--max-size",
        type=_number,
        default=0,
        metavar="MIB",
        help="The largest allowed size of the image.",
    )
    add("--strict", action="store_true", help="Count a skipped row as a failure.")
    add(
        "--json",
        default="",
        metavar="FILE",
        help="Write the report to this file, as JSON.",
    )
    add(
        "--junit",
        default="",
        metavar="FILE",
        help="Write the report to this file, as JUnit XML.",
    )
    return made


def _number(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < 1e6:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def list_checks() -> Iterator[tuple[str, str]]:
    """Yield each check's name and description, without pytest, which they import."""
    for path in _modules():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
                [decorator] = node.decorator_list
                name = ast.literal_eval(decorator.args[0])  # type: ignore[attr-defined]
                yield name, str(ast.get_docstring(node))


def _modules() -> list[Path]:
    return [_HERE / "checks" / f"{name}.py" for name in MODULES]


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Check the image that the command line names."""
    args = parser().parse_args(argv)
    try:
        sys.exit(_run(args))
    except KeyboardInterrupt:
        sys.exit(130)
    except ProdserverError as error:
        print(f"prodserver-conformance: {error}", file=sys.stderr)
        sys.exit(error.returncode)


def _run(args: argparse.Namespace) -> int:
    known = dict(list_checks())
    if args.list:
        width = max(map(len, known))
        for name, about in known.items():
            print(f"{name:{width}}  {about}")
        return 0
    if not args.image:
        raise UsageError("Which image?", "prodserver-conformance IMAGE")
    if unknown := [name for name in args.only if name not in known]:
        message = f"Unknown row {unknown[0]!r}."
        raise UsageError(message, f"The rows: {', '.join(known)}.")
    options = Options(
        image=args.image,
        env=read_env(args.env, args.env_file),
        only=args.only,
        before=args.before,
        volumes=args.volume,
        network=args.network,
        timeout=args.timeout,
        grace=args.grace,
        host=args.host,
        slow_path=args.slow_path,
        max_size=args.max_size,
        strict=args.strict,
    )
    for volume in options.volumes:
        source, _, path = volume.partition(":")
        if not (path or source).startswith("/"):
            message = f"--volume {volume} has no path in the container."
            raise UsageError(message, "--volume /data, or --volume ./data:/data")
    for file in filter(None, (args.json, args.junit)):
        # Fail now, not after checks that take minutes.
        try:
            Path(file).open("a").close()
        except OSError as error:
            message = f"{file} cannot be written: {error.strerror}"
            raise UsageError(message) from None
    _check_installed()
    from prodserver_conformance import runner

    return runner.run_checks(options, args.process, args.json, args.junit, _modules())


def _check_installed() -> None:
    for module in ("pytest", "testcontainers"):
        try:
            import_module(module)
        except ImportError:
            message = f"{module} is not installed."
            hint = 'python -m pip install "django-prodserver[conformance]"'
            raise ProdserverError(message, f"Install it with: {hint}") from None
