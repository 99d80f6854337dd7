"""The options of the installed django-tasks-db."""

from django_prodserver.backends.introspection.installed import ManagementOptions

TABLES = {
    "db_worker_options.json": ManagementOptions(
        "django-tasks-db",
        "django_tasks_db",
        "db_worker",
        settings={
            "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
        },
        defaults={"reload": "DEBUG", "worker-id": "random letters"},
    ),
}
