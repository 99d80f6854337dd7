"""``--export kubernetes``: plain manifests, and a kustomization of them."""

from __future__ import annotations

from typing import Any

from django_prodserver.commands.export import yaml
from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.project import (
    ExportedProcess,
    Project,
    unique_slugs,
)
from django_prodserver.commands.export.yaml import Comment

#: For each process of a web server, and each task at a time.
_CPU, _MEMORY = 250, 256
_LABELS = "app.kubernetes.io"
#: Seconds that a release may take, with what it waits for.
_RELEASE = 1800
Manifest = dict[Any, Any]


def files(project: Project) -> dict[str, str]:
    """Return a file for each process, a ConfigMap and a kustomization."""
    found = {"configmap.yaml": [_config_map(project)]}
    for process in project.processes:
        slug = unique_slugs(project)[process.name]
        if process.kind == "release":
            found[f"job-{slug}.yaml"] = [_job(project, process)]
        else:
            found[f"deployment-{slug}.yaml"] = _manifests(project, process)
    head = yaml.comment(f"{HEADER} kubernetes")
    texts = {
        name: head + "".join(f"---\n{yaml.dump(each)}" for each in manifests)
        for name, manifests in found.items()
    }
    head += f"#\n{yaml.comment(_parameters(project))}---\n"
    texts["kustomization.yaml"] = head + yaml.dump(_kustomization(project, [*found]))
    return texts


def _parameters(project: Project) -> str:
    name = project.name
    return f"""Put what only one environment has into an overlay, which --check ignores:

  # production/kustomization.yaml
  namespace: {name}
  resources: [../base]
  images:
    - {{name: {name}, newName: registry.example.com/{name}, newTag: "1.2.3"}}
  configMapGenerator:
    - name: {name}-env
      behavior: merge
      literals: [ALLOWED_HOSTS={name}.example.com]

Secrets are in none of these files. Create them from a file of NAME=value lines:

  kubectl create namespace {name}
  kubectl create secret generic {name}-secrets -n {name} --from-env-file=.env

A Job cannot be changed. Delete that of the previous version first:

  kubectl delete job -n {name} --ignore-not-found -l {_LABELS}/component=release"""


def _kustomization(project: Project, resources: list[str]) -> Manifest:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
        "images": [{"name": project.name, "newName": project.name, "newTag": "latest"}],
        "labels": [{"pairs": {f"{_LABELS}/managed-by": "prodserver"}}],
    }


def _config_map(project: Project) -> Manifest:
    data = {"DJANGO_SETTINGS_MODULE": project.settings}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{project.name}-env"},
        "data": data,
    }


def _manifests(project: Project, process: ExportedProcess) -> list[Manifest]:
    found = [_deployment(project, process)]
    if process.port:
        found.append(_service(project, process))
    if process.may_scale:
        found += [_budget(project, process), _autoscaler(project, process)]
    elif process.is_singleton:
        found.append(_budget(project, process))
    return found


def _name(project: Project, process: ExportedProcess) -> str:
    return f"{project.name}-{unique_slugs(project)[process.name]}"[:63].rstrip("-")


def _metadata(project: Project, process: ExportedProcess) -> Manifest:
    return {"name": _name(project, process), "labels": _labels(project, process)}


def _labels(project: Project, process: ExportedProcess) -> dict[str, str]:
    is_release = process.kind == "release"
    component = "release" if is_release else unique_slugs(project)[process.name]
    return {f"{_LABELS}/name": project.name, f"{_LABELS}/component": component}


def _deployment(project: Project, process: ExportedProcess) -> Manifest:
    spec: Manifest = {}
    if process.may_scale:
        spec[Comment("No replicas: the autoscaler sets them.")] = None
        spec["strategy"] = _rolling()
    elif process.is_singleton:
        spec[Comment("SINGLETON: one is active, and the other takes over.")] = None
        spec["replicas"] = 2
        spec["strategy"] = _rolling()
    else:
        spec[Comment(process.single_comment)] = None
        spec["replicas"] = 1
        spec["strategy"] = {"type": "Recreate"}
    spec["selector"] = {"matchLabels": _labels(project, process)}
    spec["template"] = _pod(project, process)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(project, process),
        "spec": spec,
    }


def _rolling() -> Manifest:
    rolling = {"maxUnavailable": 0, "maxSurge": 1}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _pod(project: Project, process: ExportedProcess) -> Manifest:
    return {
        "metadata": {"labels": _labels(project, process)},
        "spec": {
            Comment(_why_stop(process)): None,
            "terminationGracePeriodSeconds": process.stop,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **({"restartPolicy": "Never"} if process.kind == "release" else {}),
            "containers": [_container(project, process)],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
        },
    }


def _why_stop(process: ExportedProcess) -> str:
    drain = f"The preStop hook ({process.drain}), " if process.drain else ""
    return f"{drain}GRACEFUL_TIMEOUT ({process.grace}) and 10 to spare."


def _container(project: Project, process: ExportedProcess) -> Manifest:
    found: Manifest = {
        "name": unique_slugs(project)[process.name],
        "image": project.name,
        Comment("args, and not command: the entrypoint of the image stays."): None,
        "args": ["prodserver", process.name],
        "env": _environment(process),
        "envFrom": [
            {"configMapRef": {"name": f"{project.name}-env"}},
            {"secretRef": {"name": f"{project.name}-secrets"}},
        ],
    }
    if process.port:
        found["ports"] = [{"name": "http", "containerPort": process.port}]
    if process.kind != "release" and process.has_probe:
        found |= _probes(process)
        if process.drain:
            drain = ["prodserver-probe", "--drain", str(process.drain), process.name]
            found["lifecycle"] = {"preStop": {"exec": {"command": drain}}}
    found["resources"] = _resources(process)
    found["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    found["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    return found


def _environment(process: ExportedProcess) -> list[Any]:
    variables = [("PROCESS_NAME", process.name), *process.environment]
    # $(NAME) would be another variable's value.
    found: list[Any] = [
        {"name": name, "value": text.replace("$(", "$$(")} for name, text in variables
    ]
    for name in process.secrets:
        found.append(Comment(f"{name} is a secret: put it into the Secret."))
    return found


def _probes(process: ExportedProcess) -> Manifest:
    live = {"exec": {"command": ["prodserver-probe", "--live", process.name]}}
    started: Manifest = live
    ready: Manifest = {"exec": {"command": ["prodserver-probe", process.name]}}
    if process.paths and process.port:
        started, ready = (_http(path, process) for path in process.paths)
    # Less than the drain, so that it is seen within it.
    period = max(1, (process.drain - 1) // 2) if process.port else 10
    return {
        "startupProbe": {
            **started,
            "periodSeconds": 2,
            "timeoutSeconds": 5,
            Comment(f"{process.start} s for the start."): None,
            "failureThreshold": max(1, process.start // 2),
        },
        "readinessProbe": {
            **ready,
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": 2,
        },
        Comment("By the probe: a server with too much to do is alive."): None,
        "livenessProbe": {
            **live,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    }


def _http(path: str, process: ExportedProcess) -> Manifest:
    scheme = {"scheme": "HTTPS"} if process.is_tls else {}
    return {"httpGet": {"path": path, "port": "http", **scheme}}


def _resources(process: ExportedProcess) -> Manifest:
    count = process.parallel or 2
    memory = _MEMORY * count
    found: Manifest = {
        "requests": {"cpu": f"{_CPU * count}m", "memory": f"{memory}Mi"},
        "limits": {"memory": f"{2 * memory}Mi"},
    }
    if process.parallel is None:
        is_web = process.kind == "web"
        key = "WORKERS" if is_web else "CONCURRENCY"
        auto = '"auto"' if is_web else 'not set, or "auto"'
        note = f"{key} is {auto}: it follows this limit, or else the node's CPUs."
        found["limits"] = {Comment(note): None, "cpu": "2", **found["limits"]}
    return found


def _service(project: Project, process: ExportedProcess) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(project, process),
        "spec": {
            "selector": _labels(project, process),
            "ports": [
                {
                    "name": "https" if process.is_tls else "http",
                    "port": 443 if process.is_tls else 80,
                    "targetPort": "http",
                }
            ],
        },
    }


def _budget(project: Project, process: ExportedProcess) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(project, process),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _labels(project, process)},
        },
    }


def _autoscaler(project: Project, process: ExportedProcess) -> Manifest:
    metrics: list[Any] = [
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 75},
            },
        }
    ]
    if process.kind == "worker":
        metrics.append(
            Comment(
                "By the length of the queue instead, with KEDA or an adapter:\n"
                "- type: External\n"
                "  external:\n"
                "    metric: {name: queue_length}\n"
                '    target: {type: AverageValue, averageValue: "10"}'
            )
        )
    name = _name(project, process)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(project, process),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": name,
            },
            "minReplicas": 2 if process.kind == "web" else 1,
            "maxReplicas": 10,
            "metrics": metrics,
        },
    }


def _job(project: Project, process: ExportedProcess) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(project, process),
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": _RELEASE,
            "ttlSecondsAfterFinished": 86400,
            "template": _pod(project, process),
        },
    }
