"""The public path of ``ManagementCommands``, which lives in ``backends.release``."""

from django_prodserver.backends.release import ManagementCommands

__all__ = ["ManagementCommands"]
