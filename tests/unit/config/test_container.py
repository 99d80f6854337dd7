"""What tells a container from a machine."""

from __future__ import annotations

import pytest

from django_prodserver.config import container

HOST = "0::/user.slice/user-1000.slice/session-2.scope\n"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "ECS_CONTAINER_METADATA_URI_V4"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("container", raising=False)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(HOST)
    (tmp_path / "run").mkdir()
    return tmp_path


def test_a_machine_is_no_container(machine, tmp_path, monkeypatch):
    assert not container.in_container(machine)
    assert not container.in_container(tmp_path / "nothing")
    monkeypatch.setenv("container", "")
    assert not container.in_container(machine)


@pytest.mark.parametrize("file", [".dockerenv", "run/.containerenv"])
def test_its_file(file, machine):
    (machine / file).touch()
    assert container.in_container(machine)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/1"),
        ("container", "podman"),
    ],
)
def test_its_variable(variable, value, machine, monkeypatch):
    monkeypatch.setenv(variable, value)
    assert container.in_container(machine)


@pytest.mark.parametrize(
    "path",
    [
        "/docker/1f2e",
        "/system.slice/docker-1f2e.scope",
        "/kubepods/burstable/pod1/1f2e",
        "/kubepods.slice/kubepods-pod1.slice/cri-containerd-1f2e.scope",
        "/machine.slice/libpod-1f2e.scope/container",
        "/ecs/task/1f2e",
        "/lxc/1f2e",
    ],
)
@pytest.mark.parametrize("controllers", ["0:", "12:cpu,cpuacct"])
def test_its_cgroup(path, controllers, machine):
    line = f"{controllers}:{path}\n"
    (machine / "proc/self/cgroup").write_text(f"1:name=systemd:/\n{line}")
    assert container.in_container(machine)
