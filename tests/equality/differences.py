"""
What differs from the native start on purpose, each with its reason.

The test fails for a difference that is not here, and for one that is here and does not
occur. The documentation's table is made from this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.equality.cases import (
    GRANIAN,
    GRANIAN_WSGI,
    HYPERCORN,
    HYPERCORN_WSGI,
    MANAGEMENT,
    UVICORN,
    WAITRESS,
    Case,
)
from tests.equality.compare import Found


@dataclass(frozen=True)
class Start:
    """
    A start with ``prodserver``.

    Attributes:
        case: What is started.
        is_manage: Whether ``manage.py`` starts it, rather than ``prodserver``.
        is_preloaded: Whether the server runs in the process that was started, and
            did not replace it.
    """

    case: Case
    is_manage: bool
    is_preloaded: bool

    def __str__(self) -> str:
        way = "manage.py" if self.is_manage else "prodserver"
        return f"{self.case.id} with {way}"

    @property
    def is_watched(self) -> bool:
        """Whether we look on while the application, or its apps, are imported."""
        # manage.py has imported the apps before, and these workers have nothing else.
        has_only_apps = self.case.backend in MANAGEMENT
        return self.is_preloaded and not (has_only_apps and self.is_manage)

    @property
    def loads_before_listening(self) -> bool:
        """Whether the native command imports the application once it listens."""
        if self.case.backend in (UVICORN, WAITRESS):
            return self.is_preloaded and self.case.workers > 1
        if self.case.name == "preload":
            return False  # Gunicorn's own
        return self.is_preloaded and self.case.is_web


@dataclass(frozen=True)
class Difference:
    """
    What differs from the native start.

    Attributes:
        what: What the application sees, in words.
        native: What it is with the native command, in words.
        ours: What it is with ``prodserver``, in words.
        why: The reason.
        moments: The moments at which it differs.
        facts: The facts that differ, as patterns; at least one of them does.
        applies: Tells whether a start has it.
    """

    what: str
    native: str
    ours: str
    why: str
    moments: tuple[str, ...]
    facts: tuple[str, ...]
    applies: Callable[[Start], bool]

    def covers(self, found: Found) -> bool:
        """Tell whether this is the difference that was found."""
        return found.moment in self.moments and any(
            fnmatchcase(found.fact, pattern) for pattern in self.facts
        )


_ALL = ("settings", "apps", "application", "urls", "request")
#: What the process is like before the server has been started in it.
_BEFORE_THE_SERVER = (
    *("argv", "main", "path", "signals.*", "descriptors.*", "threads.*"),
    *("logging.*", "streams.*", "hooks.*", "multiprocessing", "process.*"),
    *("environment.PYTHONPATH", "environment.SERVER_SOFTWARE"),
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        what="The variable `_PRODSERVER_CONTEXT`",
        native="the value that `--dry-run` prints",
        ours="the same, with the path of the probe's file",
        why="It is private: our logging, probe and middleware read from it how the "
        "process was started.",
        moments=_ALL,
        facts=("environment._PRODSERVER_CONTEXT",),
        applies=lambda start: True,
    ),
    Difference(
        what="The command in `ps`, `sys.orig_argv`",
        native="`gunicorn …`",
        ours="`prodserver web`, or `manage.py prodserver web`",
        why="The server runs in the process that you started, and the kernel keeps "
        "that command. `sys.argv` is the server's.",
        moments=_ALL,
        facts=("process.title", "process.name", "process.original argv"),
        applies=lambda start: start.is_preloaded,
    ),
    Difference(
        what="`gc.get_freeze_count()`",
        native="0",
        ours="the number of objects that were loaded",
        why="Otherwise the garbage collector would write to shared memory.",
        moments=("request",),
        facts=("garbage.frozen",),
        applies=lambda start: start.is_preloaded,
    ),
    Difference(
        what="The garbage collector while the application is imported",
        native="on",
        ours="paused",
        why="It would scan the same long-lived objects again and again.",
        moments=("apps", "application", "urls"),
        facts=("garbage.thresholds",),
        applies=lambda start: start.is_watched,
    ),
    Difference(
        what="`os.getpid` and `random.Random.seed` while the application is imported",
        native="Python's own",
        ours="wrappers that record who calls them",
        why="A fork would hand the same ID or random numbers to each worker. Python's "
        "own are back before the server forks.",
        moments=("apps", "application", "urls"),
        facts=("functions.getpid", "functions.seed"),
        applies=lambda start: start.is_watched,
    ),
    Difference(
        what="The process, as the settings see it while they are imported",
        native="the server: its `sys.argv`, signal handlers, log and open files",
        ours="the launcher",
        why="The settings name the process, so they are imported before the server "
        "is known.",
        moments=("settings",),
        facts=_BEFORE_THE_SERVER,
        applies=lambda start: start.is_preloaded,
    ),
    Difference(
        what="The process, as `AppConfig.ready()` and your models see it, if "
        "`manage.py` starts it",
        native="the server",
        ours="`manage.py`",
        why="`manage.py` sets up Django before it runs any command. The command "
        "`prodserver` does not.",
        moments=("apps",),
        facts=_BEFORE_THE_SERVER,
        applies=lambda start: start.is_preloaded and start.is_manage,
    ),
    Difference(
        what="Logging while the application is imported, if `manage.py` starts the "
        "process",
        native="not set up: the application itself calls `django.setup()`",
        ours="set up",
        why="`manage.py` has already called it.",
        moments=("application",),
        facts=("logging.*", "multiprocessing", "streams.*", "hooks.*"),
        applies=lambda start: (
            start.is_preloaded and start.is_manage and start.case.is_web
        ),
    ),
    Difference(
        what="Standard output and error, and the hooks for uncaught exceptions, while "
        "the application is imported, if `LOG_FORMAT` is set",
        native="Python's own, until the apps are set up",
        ours="each line is a log record",
        why="So every line has the format that you chose.",
        moments=("apps", "application"),
        facts=("streams.*", "hooks.*"),
        applies=lambda start: (
            start.is_preloaded and start.case.keys.get("LOG_FORMAT") == "json"
        ),
    ),
    Difference(
        what="The process that imports the application",
        native="each worker: with its pid, signal handlers, threads and open sockets",
        ours="their parent, before it listens",
        why="The workers share everything that is loaded before the fork. If a fork "
        "would break something, the native command loads the application instead.",
        moments=("apps", "application", "urls"),
        facts=(
            *("signals.*", "descriptors.*", "threads.*", "process.leads *"),
            *("streams.stdin", "multiprocessing"),
        ),
        applies=lambda start: start.loads_before_listening,
    ),
    Difference(
        what="The first entries of `sys.path` while the application is imported, "
        "with Granian and Hypercorn",
        native="the working directory first",
        ours="the script's directory first",
        why="The worker adds the working directory when it imports the application; "
        "it is already on the path.",
        moments=("apps", "application", "urls"),
        facts=("path",),
        applies=lambda start: (
            start.is_preloaded
            and start.case.backend in (GRANIAN, GRANIAN_WSGI, HYPERCORN, HYPERCORN_WSGI)
        ),
    ),
    Difference(
        what="When the URLconf is imported",
        native="in the first request, in the thread that handles it",
        ours="with the application",
        why="Otherwise each worker would import it and the views separately.",
        moments=("urls",),
        facts=(
            *("thread", "threads.*", "descriptors.*", "signals.*", "streams.stdin"),
            "process.leads *",
        ),
        applies=lambda start: start.is_preloaded and start.case.is_web,
    ),
    Difference(
        what="The loggers `uvicorn.error` and `uvicorn.access` while the application "
        "is imported, with Gunicorn's worker class `uvicorn_worker.UvicornWorker`",
        native="set up",
        ours="not set up yet",
        why="The worker class sets them up in each worker, after the fork.",
        moments=("apps", "application", "urls"),
        facts=("logging.uvicorn.*",),
        applies=lambda start: (
            start.is_preloaded and start.case.name == "uvicorn_worker"
        ),
    ),
    Difference(
        what="Hypercorn's log while the URLconf is imported",
        native="set up",
        ours="not set up yet",
        why="Hypercorn sets up its log in each worker, after the application.",
        moments=("urls",),
        facts=("logging.*",),
        applies=lambda start: (
            start.is_preloaded and start.case.backend in (HYPERCORN, HYPERCORN_WSGI)
        ),
    ),
    Difference(
        what="`__main__`, the path and logging while a worker's apps are imported",
        native="those of its command, `celery` or `django-admin`",
        ours="the launcher's",
        why="The apps are imported before the command runs, because it forks later.",
        moments=("apps", "application"),
        facts=("main", "path", "logging.*", "descriptors.*"),
        applies=lambda start: start.is_preloaded and not start.case.is_web,
    ),
    Difference(
        what="The working directory while the settings are imported, with Gunicorn's "
        "`chdir`",
        native="the directory in the option",
        ours="the directory that you start in",
        why="The option is in the settings. Build paths there from `BASE_DIR`.",
        moments=("settings",),
        facts=("directory",),
        applies=lambda start: start.is_preloaded and start.case.name == "chdir",
    ),
    Difference(
        what="The open files of Uvicorn's workers",
        native="those of a new interpreter",
        ours="those of a fork, including the pipes to other workers",
        why="A fork shares memory; a new interpreter imports everything again.",
        moments=("request",),
        facts=("descriptors.*",),
        applies=lambda start: (
            start.case.backend == UVICORN
            and start.is_preloaded
            and start.case.workers > 1
        ),
    ),
    Difference(
        what="`sys.path` of a management command that `manage.py` starts",
        native="the project's directory twice, with `PYTHONPATH` as `--dry-run` prints",
        ours="once",
        why="The command runs in the process in which `manage.py` already runs.",
        moments=("request",),
        facts=("path",),
        applies=lambda start: (
            start.is_preloaded and start.is_manage and start.case.backend in MANAGEMENT
        ),
    ),
)
