"""The options of the installed django-rq."""

from django_prodserver.backends.introspection.installed import ManagementOptions

TABLES = {
    "options.json": ManagementOptions(
        "django-rq",
        "django_rq",
        "rqworker",
        settings={"RQ_QUEUES": {"default": {"URL": "redis://localhost"}}},
    ),
}
