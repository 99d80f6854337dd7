"""The options of the installed Uvicorn."""

from django_prodserver.backends.introspection.installed import ClickOptions

TABLES = {"options.json": ClickOptions("uvicorn", "uvicorn.main", "main")}
