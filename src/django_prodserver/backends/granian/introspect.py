"""The options of the installed Granian."""

from django_prodserver.backends.introspection.installed import ClickOptions

# django-prodserver 2.x and 3.x called granian from Python, so their users' ARGS have
# the names of its constructor's arguments instead of those of its options.
_ARGUMENTS = {
    "access-log": ("log-access",),
    "blocking-threads": ("threads",),
    "host": ("address",),
    "ssl-certificate": ("ssl-cert",),
    "ssl-keyfile": ("ssl-key",),
    "ws": ("websockets",),
}

TABLES = {
    "options.json": ClickOptions("granian", "granian.cli", "cli", also=_ARGUMENTS)
}
