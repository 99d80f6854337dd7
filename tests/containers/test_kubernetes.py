"""A Pod as its manifest says: valid, and lived through as a kubelet would have it."""

from __future__ import annotations

import urllib.error
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from django_prodserver.config.keys import KEYS
from tests.containers.harness import PORT, Container, Containers

MANIFEST = Path(__file__).with_name("pod.yaml")


@pytest.fixture
def pod() -> Any:
    return yaml.safe_load(MANIFEST.read_text())


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
def test_the_manifest_is_valid(version: str, pod: Any) -> None:
    kubernetes_validate.validate(pod, version, strict=True)
    pod["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenessProb"):
        kubernetes_validate.validate(pod, version, strict=True)


def test_its_grace_period_has_room_for_the_drain_and_the_stop(pod: Any) -> None:
    """It begins with the preStop hook, and ends with SIGKILL."""
    [container] = pod["spec"]["containers"]
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
    grace = KEYS["GRACEFUL_TIMEOUT"].default
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain + grace
    ready = container["readinessProbe"]
    assert drain > ready["periodSeconds"] * ready["failureThreshold"], "seen in time"


@pytest.mark.container
def test_a_pods_life(pod: Any, containers: Containers) -> None:
    """It starts, is ready, drains while it serves on, and ends by itself."""
    [wanted] = pod["spec"]["containers"]
    container = containers.start(
        env={variable["name"]: variable["value"] for variable in wanted["env"]},
        ports=[PORT],
        read_only=wanted["securityContext"]["readOnlyRootFilesystem"],
        cap_drop=wanted["securityContext"]["capabilities"]["drop"],
        security_opt=["no-new-privileges"],
        mem_limit="256m",
        tmpfs={mount["mountPath"]: "" for mount in wanted["volumeMounts"]},
    )

    def says_yes(question: str) -> bool:
        return probed(container, wanted[f"{question}Probe"])

    container.until(lambda: says_yes("startup"), "started")
    container.until(lambda: says_yes("readiness"), "ready")
    assert says_yes("liveness")
    with ThreadPoolExecutor() as threads:
        hook = wanted["lifecycle"]["preStop"]["exec"]["command"]
        stopping = threads.submit(container.exec, *hook)
        container.until(lambda: not says_yes("readiness"), "not ready")
        assert says_yes("liveness")
        assert container.answers()
        assert stopping.result().code == 0
    assert not says_yes("readiness")
    assert container.stop(pod["spec"]["terminationGracePeriodSeconds"]).code == 0


def probed(container: Container, probe: Mapping[str, Any]) -> bool:
    """Do as the kubelet does: an exit code of 0, or a status from 200 to 399."""
    if "exec" in probe:
        return container.exec(*probe["exec"]["command"]).code == 0
    try:
        container.get(probe["httpGet"]["path"])
    except (urllib.error.HTTPError, OSError):
        return False
    return True
