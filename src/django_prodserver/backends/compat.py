"""Backends that were written for django-prodserver 2.x and 3.x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django_prodserver.backends.base import Backend, BaseServerBackend
from django_prodserver.config.argv import Layer, OptionTable
from django_prodserver.config.context import Context
from django_prodserver.config.keys import Translation


class AdaptedBackend(Backend):
    """
    Adapts a backend that only has ``start_server`` to the launcher.

    Args:
        backend: The user's backend.
        config: The process's dictionary; the backend defines its keys.
    """

    kind = ""
    keys: ClassVar[Mapping[str, Translation]] = {}
    rejects_unknown_keys = False

    def __init__(self, backend: BaseServerBackend, config: Mapping[str, Any]) -> None:
        # Not super().__init__(): the user's class has read ARGS its own way.
        self.backend = backend
        self.config = dict(config)
        self.args = list(backend.args)

    @property
    def option_table(self) -> OptionTable:  # type: ignore[override]
        return self.backend.option_table

    @property
    def layers(self) -> list[Layer]:
        return [Layer("ARGS", self.args)]

    @property
    def has_broker(self) -> bool:
        return False

    def prep_server_args(self) -> list[str]:
        return self.backend.prep_server_args()

    def override(self, words: Sequence[str], stronger: Sequence[str]) -> list[str]:
        return self.backend.override(words, stronger)

    def context(self, args: Sequence[str], process: str) -> Context | None:
        return None

    def start_server(self, *args: str) -> None:
        self.backend.start_server(*args)


def adapt(backend: BaseServerBackend, config: Mapping[str, Any]) -> Backend:
    """Return the backend itself, or an adapter around a minimal one."""
    if isinstance(backend, Backend):
        return backend
    return AdaptedBackend(backend, config)
