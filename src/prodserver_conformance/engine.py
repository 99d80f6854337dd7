"""The engine: the image, and containers of it, none of which stays behind."""

from __future__ import annotations

import contextlib
import logging
import signal
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import docker.errors
import requests.exceptions
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.docker_client import DockerClient

from django_prodserver.exceptions import UnavailableError, UsageError
from prodserver_conformance.container import Container, Finished

#: Containers and volumes have it, with the run's id as its value.
LABEL = "prodserver-conformance"
#: No HEALTHCHECK of the engine's: it costs time, and who asks can do so by himself.
NEVER = {"test": ["NONE"]}
#: What an engine that goes away, or refuses, raises.
ENGINE_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    ConnectionError,
)


class Image(NamedTuple):
    """What the engine says of the image."""

    name: str
    id: str
    size: int
    config: Mapping[str, Any]

    @property
    def healthcheck(self) -> list[str]:
        """The command of its HEALTHCHECK; nothing if it has none."""
        kind, *words = (self.config.get("Healthcheck") or {}).get("Test") or ["NONE"]
        if kind == "CMD-SHELL":
            return ["/bin/sh", "-c", *words]
        return words if kind == "CMD" else []

    @property
    def stop_signal(self) -> str:
        return str(self.config.get("StopSignal") or "SIGTERM")


class Engine:
    """
    Starts containers, and removes all that it started.

    Args:
        image: The image's name.
        env: Variables for each of them.
        network: A network of the engine's to join; its default one if empty.
        volumes: As for ``start``; for each of them.

    Raises:
        UnavailableError: No engine answers.
        UsageError: It has no such image or network.
    """

    def __init__(
        self, image: str, env: Mapping[str, str], network: str, volumes: Sequence[str]
    ) -> None:
        logging.getLogger("testcontainers").setLevel(logging.WARNING)
        self.run = uuid.uuid4().hex[:12]
        self.env = dict(env)
        self._network = network
        self._volumes = list(volumes)
        self.started: list[Container] = []
        try:
            self._client = DockerClient().client
            self._client.ping()
        except ENGINE_ERRORS as error:
            message = f"No Docker engine answers: {error}"
            hint = "Start it, or say where it is with DOCKER_HOST; docker version asks."
            raise UnavailableError(message, hint) from None
        self.image = self._look_up(image)
        self._check_network()
        self.note = self._start_reaper()

    def _look_up(self, name: str) -> Image:
        try:
            attrs = self._client.images.get(name).attrs
        except (docker.errors.ImageNotFound, docker.errors.NullResource):
            message = f"The engine has no image {name!r}."
            hint = f"Build it, or: docker pull {name}"
            raise UsageError(message, hint) from None
        except docker.errors.APIError as error:
            raise UsageError(f"{name!r} is no image: {error.explanation}") from None
        return Image(name, attrs["Id"], attrs["Size"], attrs["Config"] or {})

    def _check_network(self) -> None:
        names = [str(network.name) for network in self._client.networks.list()]
        if self._network and self._network not in names:
            message = f"The engine has no network {self._network!r}."
            raise UsageError(message, f"It has: {', '.join(sorted(names))}.")

    def _start_reaper(self) -> str:
        """Start testcontainers' Ryuk; return a note if that cannot be."""
        if testcontainers_config.ryuk_disabled:
            return ""
        try:
            Reaper.get_instance()
        except Exception as error:
            # An image of a registry's, which not every site reaches. All that it is
            # for is this command's end by SIGKILL.
            testcontainers_config.ryuk_disabled = True
            with contextlib.suppress(*ENGINE_ERRORS):
                Reaper.delete_instance()
            why = str(error).strip().splitlines() or [type(error).__name__]
            return f"without testcontainers' Ryuk: {why[-1]}"
        return ""

    def start(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        state: str = "",
        **options: Any,
    ) -> Container:
        """
        Start a container of the image.

        Args:
            command: Its arguments.
            env: More variables.
            state: What names the volumes that it shares; it has none if empty.
            options: Keywords of docker-py's ``containers.create``.
        """
        made = DockerContainer(self.image.name)
        made.with_envs(**self.env, **(env or {}))
        for volume in self._volumes if state else []:
            self._mount(made, volume, state)
        for path in options.pop("tmpfs", ()):
            made.with_tmpfs_mount(path)
        if self._network:
            options["network"] = self._network
        made.with_kwargs(labels={LABEL: self.run}, **options)
        if command:
            made.with_command(list(command))
        made.start()
        self.started.append(Container(made.get_wrapped_container()))
        return self.started[-1]

    def _mount(self, made: DockerContainer, volume: str, state: str) -> None:
        source, colon, path = volume.partition(":")
        if colon:
            path, _, mode = path.partition(":")
            made.with_volume_mapping(source, path, mode or "rw")
            return
        # A volume of this run's own, with what the image has there.
        name = f"{LABEL}-{self.run}-{state}-{self._volumes.index(volume)}"
        self._client.volumes.create(name, labels={LABEL: self.run})
        made.with_volume_mapping(name, volume, "rw")

    def finish(self, *command: str, seconds: float, **options: Any) -> Finished:
        """Start a container that ends by itself; return its code and its log."""
        container = self.start(*command, healthcheck=NEVER, **options)
        return Finished(container.exits(seconds), container.log)

    def remove(self) -> None:
        """Remove all that this run has started, also what it was just starting."""
        with _uninterrupted():
            ours = {"label": f"{LABEL}={self.run}"}
            for container in self._client.containers.list(all=True, filters=ours):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
            for volume in self._client.volumes.list(filters=ours):
                with contextlib.suppress(docker.errors.NotFound):
                    volume.remove(force=True)
            Reaper.delete_instance()


@contextlib.contextmanager
def _uninterrupted() -> Any:
    """Let a second Ctrl-C not leave half of it behind."""
    before = {
        signum: signal.signal(signum, signal.SIG_IGN)
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
