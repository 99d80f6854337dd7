"""The options of the installed Huey's command for Django."""

from django_prodserver.backends.introspection.installed import ManagementOptions

TABLES = {
    "options.json": ManagementOptions(
        "huey",
        "huey.contrib.djhuey",
        "run_huey",
        settings={"HUEY": {"huey_class": "huey.MemoryHuey", "immediate": False}},
        defaults={"graceful-signal": "INT", "workers": "1", "worker-type": "thread"},
        help={"logfile": "A file for the log."},
    ),
}
