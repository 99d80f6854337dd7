"""The Docker engine: look up the image, start containers of it and remove them."""

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
from prodserver_conformance.container import CompletedCommand, Container

#: The label of all containers and volumes; its value is the ID of the run.
LABEL = "prodserver-conformance"
#: Turns the engine's own health checks off, where the command is run directly.
NO_HEALTHCHECK = {"test": ["NONE"]}
#: What docker-py raises if the engine refuses a request or goes away.
ENGINE_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    ConnectionError,
)


class Image(NamedTuple):
    """The image, as ``docker inspect`` describes it."""

    name: str
    id: str
    size: int
    config: Mapping[str, Any]

    @property
    def healthcheck(self) -> list[str]:
        """The command of its HEALTHCHECK; empty if it has none."""
        kind, *words = (self.config.get("Healthcheck") or {}).get("Test") or ["NONE"]
        if kind == "CMD-SHELL":
            return ["/bin/sh", "-c", *words]
        return words if kind == "CMD" else []

    @property
    def stop_signal(self) -> str:
        """The signal by which the engine stops a container, by name."""
        return str(self.config.get("StopSignal") or "SIGTERM")


class Engine:
    """
    Start containers, and remove all of them at the end.

    Args:
        image: The image's name.
        env: Variables for every container.
        network: The network to join; the engine's default one if empty.
        volumes: Volumes for every container with a ``state``; see ``Options``.

    Raises:
        UnavailableError: No engine answers.
        UsageError: The engine does not have the image or the network.
    """

    def __init__(
        self, image: str, env: Mapping[str, str], network: str, volumes: Sequence[str]
    ) -> None:
        logging.getLogger("testcontainers").setLevel(logging.WARNING)
        self.run_id = uuid.uuid4().hex[:12]
        self.env = dict(env)
        self._network = network
        self._volumes = list(volumes)
        self.started: list[Container] = []
        try:
            self._client = DockerClient().client
            self._client.ping()
        except ENGINE_ERRORS as error:
            message = f"No Docker engine answers: {error}"
            hint = (
                "Start it, or set DOCKER_HOST to its address. To check: docker version"
            )
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
            raise UsageError(f"{name!r} is not an image: {error.explanation}") from None
        return Image(name, attrs["Id"], attrs["Size"], attrs["Config"] or {})

    def _check_network(self) -> None:
        names = [str(network.name) for network in self._client.networks.list()]
        if self._network and self._network not in names:
            message = f"The engine has no network {self._network!r}."
            raise UsageError(message, f"It has: {', '.join(sorted(names))}.")

    def _start_reaper(self) -> str:
        """Start testcontainers' Ryuk; return a note if it does not start."""
        if testcontainers_config.ryuk_disabled:
            return ""
        try:
            Reaper.get_instance()
        except Exception as error:
            # Some networks cannot pull its image. It only cleans up if this command
            # is killed with SIGKILL, so go on without it.
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
            state: Names the volumes that it shares with others; none if empty.
            options: Keyword arguments of docker-py's ``containers.create``.
        """
        made = DockerContainer(self.image.name)
        made.with_envs(**self.env, **(env or {}))
        for volume in self._volumes if state else []:
            self._mount(made, volume, state)
        for path in options.pop("tmpfs", ()):
            made.with_tmpfs_mount(path)
        if self._network:
            options["network"] = self._network
        made.with_kwargs(labels={LABEL: self.run_id}, **options)
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
        # A new volume, which the engine fills with the image's files at that path.
        name = f"{LABEL}-{self.run_id}-{state}-{self._volumes.index(volume)}"
        self._client.volumes.create(name, labels={LABEL: self.run_id})
        made.with_volume_mapping(name, volume, "rw")

    def run_to_completion(
        self, *command: str, seconds: float, **options: Any
    ) -> CompletedCommand:
        """Start a container that exits on its own; return its exit code and log."""
        container = self.start(*command, healthcheck=NO_HEALTHCHECK, **options)
        return CompletedCommand(container.wait_for_exit(seconds), container.log)

    def remove(self) -> None:
        """Remove what this run has started, also a container that is being created."""
        with _ignored_signals():
            filters = {"label": f"{LABEL}={self.run_id}"}
            for container in self._client.containers.list(all=True, filters=filters):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
            for volume in self._client.volumes.list(filters=filters):
                with contextlib.suppress(docker.errors.NotFound):
                    volume.remove(force=True)
            Reaper.delete_instance()


@contextlib.contextmanager
def _ignored_signals() -> Any:
    """Ignore a second Ctrl-C, which would leave containers behind."""
    previous = {
        signum: signal.signal(signum, signal.SIG_IGN)
        for signum in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
