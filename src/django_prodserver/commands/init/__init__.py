"""``prodserver --init``: set up a project for production."""

from django_prodserver.commands.init.command import run

__all__ = ["run"]
