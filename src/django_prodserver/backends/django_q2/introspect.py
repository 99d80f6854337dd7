"""The options of the installed Django-Q2."""

from django_prodserver.backends.introspection.installed import ManagementOptions

TABLES = {
    "options.json": ManagementOptions(
        "django-q2",
        "django_q",
        "qcluster",
        settings={"Q_CLUSTER": {"orm": "default", "timeout": 60, "retry": 90}},
    ),
}
