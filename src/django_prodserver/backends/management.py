"""The public paths of the backends that run management commands of any kind."""

from django_prodserver.backends.long_running.backend import LongRunningCommand
from django_prodserver.backends.release import ManagementCommands

__all__ = ["LongRunningCommand", "ManagementCommands"]
