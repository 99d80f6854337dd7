"""``--export``: what is in the files, what is not, and what --check says of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import kubernetes_validate
import pytest
import yaml
from django import conf
from django.core.management import call_command
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from django_prodserver.commands.export import command, project
from django_prodserver.commands.export import yaml as writer
from django_prodserver.commands.export.files import HEADER
from django_prodserver.commands.export.yaml import Comment
from django_prodserver.exceptions import ProdserverError, UnknownProcess, UsageError
from tests.harness import BIN
from tests.installed import skip_without_servers
from tests.servers import BACKENDS

ROOT = Path(__file__).parents[3]
SECRET = "Zq7secretZq7"
GUNICORN = f"{BACKENDS}.gunicorn.GunicornServer"
HEALTH = "django_prodserver.health.middleware.HealthMiddleware"
PROCESSES: dict[str, dict[str, Any]] = {
    "web": {
        "BACKEND": GUNICORN,
        "WORKERS": 3,
        "GRACEFUL_TIMEOUT": 50,
        "ENV": {"TZ": "Europe/Zurich", "PRICE": "5$", "API_TOKEN": SECRET},
    },
    "worker": {
        "BACKEND": f"{BACKENDS}.celery.CeleryWorker",
        "APP": "proj.celery.app",
        "CONCURRENCY": 4,
        "WAIT_FOR": ["migrations"],
    },
    "beat": {"BACKEND": f"{BACKENDS}.celery.CeleryBeat", "APP": "proj.celery.app"},
    "release": {
        "BACKEND": f"{BACKENDS}.management.ManagementCommands",
        "COMMANDS": ["migrate --noinput"],
    },
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
    for name in ("PORT", "PRODSERVER_HOST", "WEB_CONCURRENCY", "PROCESS_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def database(monkeypatch):
    """Says which database the settings have; no test connects to it."""

    def use(name: str) -> None:
        engine = f"django.db.backends.{name}"
        # Not by "settings", which warns: connections do not follow. None is made.
        monkeypatch.setattr(conf.settings, "DATABASES", {"default": {"ENGINE": engine}})

    return use


@pytest.fixture
def configured(settings, database):
    settings.PRODUCTION_PROCESSES = PROCESSES
    settings.MIDDLEWARE = [HEALTH]
    database("postgresql")
    skip_without_servers(PROCESSES)
    return settings


def exported(form: str, *names: str) -> str:
    printed: list[str] = []
    assert command.run(form, names, printed.append) == 0
    return "\n".join(printed)


def compose(*names: str) -> Any:
    return yaml.safe_load(exported("compose", *names))


# YAML


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["yes", "No", "~", "1e3", "0x10", "1:30", "10s", "", "-", ".5"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@hypothesis.settings(
    max_examples=50, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.dictionaries(st.sampled_from(["a", "on", "b c", "1"]), values, min_size=1))
def test_yaml_reads_what_was_written(value):
    assert yaml.safe_load(writer.dump(value)) == value


def test_yaml_has_comments_where_they_are_written():
    text = writer.dump({Comment("why\nso"): None, "a": [Comment("one"), "x"], "b": {}})
    assert text == "# why\n# so\na:\n  # one\n  - x\nb: {}\n"


# What is exported


def test_compose_starts_each_process_by_its_name_with_its_own_times(configured):
    services = compose()["services"]
    assert list(services) == [*PROCESSES, "database", "broker"]
    for name in PROCESSES:
        assert services[name]["command"] == ["prodserver", name]
        assert services[name]["env_file"] == [".env"]
    web = services["web"]
    assert web["ports"] == ["127.0.0.1:${PORTS:-8000}:8000"]
    assert web["environment"]["DRAIN_DELAY"] == "5"
    assert web["stop_grace_period"] == "65s"
    assert services["worker"]["stop_grace_period"] == "35s"
    assert services["worker"]["healthcheck"]["start_period"] == "420s"
    assert services["worker"]["healthcheck"]["test"][-1] == "worker"
    assert services["release"]["restart"] == "no"
    assert services["release"]["healthcheck"] == {"disable": True}
    healthy = {"condition": "service_healthy"}
    assert services["release"]["depends_on"] == {"database": healthy, "broker": healthy}
    done = {"condition": "service_completed_successfully"}
    assert services["beat"]["depends_on"]["release"] == done


def test_compose_has_no_services_that_the_settings_do_not_use(configured, database):
    database("sqlite3")
    content = compose("web")
    assert list(content["services"]) == ["web"]
    assert "volumes" not in content
    assert "depends_on" not in content["services"]["web"]
    assert "DATABASE_HOST" not in content["services"]["web"]["environment"]


@pytest.mark.parametrize(
    ("engine", "broker", "images"),
    [
        ("postgresql", "redis://h/0", ["postgres:17", "redis:8"]),
        ("mysql", "amqp://h//", ["mysql:8.4", "rabbitmq:4"]),
    ],
)
def test_compose_has_the_database_and_the_broker(
    engine, broker, images, configured, database, monkeypatch
):
    database(engine)
    from proj.celery import app

    monkeypatch.setattr(app.conf, "broker_url", broker)
    monkeypatch.setattr(app.conf, "broker_write_url", broker)
    services = compose()["services"]
    found = [services[name]["image"] for name in ("database", "broker")]
    assert [image.partition(":-")[2].strip("}") for image in found] == images
    given = services["web"]["environment"]
    assert given["DATABASE_PASSWORD"] == "${DATABASE_PASSWORD:?}"
    assert given["BROKER_URL"].startswith(broker.partition(":")[0])
    assert "@h" not in str(services)


def test_two_processes_that_listen_have_ports_of_their_own(configured):
    configured.PRODUCTION_PROCESSES = {
        "web": {"BACKEND": GUNICORN},
        "admin.site": {"BACKEND": GUNICORN, "BIND": "0.0.0.0:8000"},
    }
    services = compose()["services"]
    assert services["web"]["ports"] == ["127.0.0.1:${PORTS:-8000}:8000"]
    admin = services["admin.site"]["ports"]
    assert admin == ["127.0.0.1:${ADMIN_SITE_PORTS:-8001}:8000"]


def test_a_process_named_as_a_service_is_refused(configured):
    configured.PRODUCTION_PROCESSES = {"database": {"BACKEND": GUNICORN}}
    with pytest.raises(UsageError, match="named 'database'"):
        exported("compose")


@pytest.mark.parametrize("form", command.FORMATS)
def test_no_secret_is_exported_and_its_name_is(form, configured):
    text = exported(form)
    assert SECRET not in text
    assert "API_TOKEN" in text or form == "procfile"


def test_a_value_is_not_interpolated(configured):
    environment = compose("web")["services"]["web"]["environment"]
    assert environment["PRICE"] == "5$$"
    assert environment["TZ"] == "Europe/Zurich"


@pytest.mark.parametrize("form", command.FORMATS)
def test_it_does_not_depend_on_this_machine(form, configured, monkeypatch):
    web = {"BACKEND": GUNICORN}
    configured.PRODUCTION_PROCESSES = {**PROCESSES, "web": web}
    before = exported(form)
    for name, value in (("PORT", "7"), ("WEB_CONCURRENCY", "9"), ("PROCESS_NAME", "x")):
        monkeypatch.setenv(name, value)
    assert exported(form) == before
    assert os.environ["PORT"] == "7"
    assert "PRODSERVER_HOST" not in os.environ


def test_a_local_address_is_warned_of_where_it_is_of_no_use(configured, capsys):
    configured.PRODUCTION_PROCESSES = {
        "web": {"BACKEND": GUNICORN, "BIND": "127.0.0.1:8001"}
    }
    exported("compose")
    said = capsys.readouterr().err
    assert "nothing outside its container can reach web" in said
    assert '"BIND": "0.0.0.0:8001"' in said


def test_a_fault_of_the_settings_is_one(configured):
    configured.PRODUCTION_PROCESSES = {"web": {"BACKEND": GUNICORN, "WORKERS": "two"}}
    with pytest.raises(ProdserverError, match="'two'"):
        exported("compose")


def test_a_server_that_is_not_installed_here_is_none(configured, monkeypatch):
    from django_prodserver.backends.gunicorn import GunicornServer

    monkeypatch.setattr(GunicornServer, "package", "not_installed_here")
    assert compose("web")["services"]["web"]["command"] == ["prodserver", "web"]


# Kubernetes


@pytest.fixture
def manifests(configured) -> Callable[..., dict[tuple[str, str], Any]]:
    """Returns what is exported for Kubernetes, each valid, by kind and name."""

    def read(*names: str) -> dict[tuple[str, str], Any]:
        documents = filter(None, yaml.safe_load_all(exported("kubernetes", *names)))
        found = {}
        for document in documents:
            if document["kind"] != "Kustomization":
                for version in ("1.29", kubernetes_validate.latest_version()):
                    kubernetes_validate.validate(document, version, strict=True)
            name = document.get("metadata", {}).get("name", "")
            found[document["kind"], name] = document
        return found

    return read


def container(manifest: Any) -> Any:
    [found] = manifest["spec"]["template"]["spec"]["containers"]
    return found


def test_kubernetes_has_what_each_kind_of_process_needs(manifests):
    found = manifests()
    assert sorted(found) == [
        ("ConfigMap", "shop-env"),
        ("Deployment", "shop-beat"),
        ("Deployment", "shop-web"),
        ("Deployment", "shop-worker"),
        ("HorizontalPodAutoscaler", "shop-web"),
        ("HorizontalPodAutoscaler", "shop-worker"),
        ("Job", "shop-release"),
        ("Kustomization", ""),
        ("PodDisruptionBudget", "shop-web"),
        ("PodDisruptionBudget", "shop-worker"),
        ("Service", "shop-web"),
    ]
    for name in ("web", "worker", "beat"):
        deployment = found["Deployment", f"shop-{name}"]
        assert container(deployment)["args"] == ["prodserver", name]
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector == deployment["spec"]["template"]["metadata"]["labels"]
    assert "# By the length of the queue instead" in exported("kubernetes", "worker")


def test_the_times_of_a_pod_are_those_of_its_process(manifests):
    found = manifests()
    web = found["Deployment", "shop-web"]
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 65
    hook = container(web)["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["prodserver-probe", "--drain", "5", "web"]
    ready = container(web)["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < 5, "seen within it"
    assert ready["httpGet"] == {"path": "/-/ready", "port": "http"}
    worker = container(found["Deployment", "shop-worker"])
    started = worker["startupProbe"]
    assert started["periodSeconds"] * started["failureThreshold"] == 120 + 300
    assert worker["readinessProbe"]["exec"]["command"] == ["prodserver-probe", "worker"]
    assert "lifecycle" not in worker
    assert worker["resources"]["requests"] == {"cpu": "1000m", "memory": "1024Mi"}


def test_auto_has_a_limit_of_cpu(manifests, configured):
    configured.PRODUCTION_PROCESSES = {"web": {"BACKEND": GUNICORN, "WORKERS": "auto"}}
    limits = container(manifests()["Deployment", "shop-web"])["resources"]["limits"]
    assert limits["cpu"] == "2"


@pytest.mark.parametrize(
    ("singleton", "replicas", "strategy"),
    [(False, 1, "Recreate"), (True, 2, "RollingUpdate")],
)
def test_a_scheduler_runs_once_unless_it_is_a_singleton(
    singleton, replicas, strategy, manifests, configured
):
    beat = {**PROCESSES["beat"], "SINGLETON": singleton}
    configured.PRODUCTION_PROCESSES = {"beat": beat}
    found = manifests()
    assert found["Deployment", "shop-beat"]["spec"]["replicas"] == replicas
    assert found["Deployment", "shop-beat"]["spec"]["strategy"]["type"] == strategy
    assert (("PodDisruptionBudget", "shop-beat") in found) is singleton
    assert ("HorizontalPodAutoscaler", "shop-beat") not in found


CELERY = {"BACKEND": f"{BACKENDS}.celery.CeleryWorker", "APP": "proj.celery.app"}
HUEY = {"BACKEND": f"{BACKENDS}.huey.HueyConsumer"}
FLOWER = {"BACKEND": f"{BACKENDS}.celery.CeleryFlower", "APP": "proj.celery.app"}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (FLOWER, "each would show only the events since its own start."),
        (PROCESSES["beat"], "two would send every task twice. SINGLETON allows"),
        ({**CELERY, "ARGS": {"B": True}}, "two would send every task twice."),
        (HUEY, "two would run every periodic task twice, unless no-periodic is set."),
        ({**HUEY, "ARGS": {"no-periodic": True}}, ""),
        (CELERY, ""),
    ],
)
def test_what_may_only_run_once_is_not_scaled(entry, why, manifests, configured):
    configured.PRODUCTION_PROCESSES = {"one": entry}
    found = manifests()
    is_scaled = ("HorizontalPodAutoscaler", "shop-one") in found
    spec = found["Deployment", "shop-one"]["spec"]
    if why:
        assert not is_scaled
        assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
        assert ("PodDisruptionBudget", "shop-one") not in found
    else:
        assert is_scaled
        assert "replicas" not in spec
    for form in ("kubernetes", "compose", "kamal"):
        text = exported(form)
        assert ("# One only: " in text) is bool(why)
        assert f"# One only: {why}" in text or not why


def test_a_monitor_has_a_service_and_is_not_the_site(manifests, configured):
    configured.PRODUCTION_PROCESSES = {"monitor": FLOWER, "web": {"BACKEND": GUNICORN}}
    assert ("Service", "shop-monitor") in manifests()
    roles = yaml.safe_load(exported("kamal").partition("# ==> ")[0])["servers"]
    assert {name: role["proxy"] for name, role in roles.items()} == {
        "monitor": False,
        "web": True,
    }


@pytest.mark.parametrize(
    ("entry", "requests"),
    [
        (CELERY, "500m"),
        ({**CELERY, "CONCURRENCY": "auto"}, "500m"),
        ({**CELERY, "CONCURRENCY": 3}, "750m"),
        ({**CELERY, "ARGS": {"concurrency": 5}}, "1250m"),
        ({**CELERY, "ARGS": {"autoscale": "6,2"}}, "1500m"),
        ({**CELERY, "ARGS": {"pool": "solo"}}, "250m"),
        (HUEY, "500m"),
        ({"BACKEND": f"{BACKENDS}.dramatiq.DramatiqWorker"}, "500m"),
        ({"BACKEND": f"{BACKENDS}.procrastinate.ProcrastinateWorker"}, "500m"),
        ({"BACKEND": f"{BACKENDS}.rq.RQWorker"}, "250m"),
        ({"BACKEND": f"{BACKENDS}.django_tasks.DjangoTasksWorker"}, "250m"),
    ],
)
def test_a_worker_has_resources_for_what_it_runs(
    entry, requests, manifests, configured, monkeypatch
):
    # What this machine's environment says does not count.
    monkeypatch.setenv("CELERY_WORKER_CONCURRENCY", "9")
    configured.PRODUCTION_PROCESSES = {"worker": entry}
    skip_without_servers(configured.PRODUCTION_PROCESSES)
    resources = container(manifests()["Deployment", "shop-worker"])["resources"]
    assert resources["requests"]["cpu"] == requests
    follows = requests == "500m"
    assert resources["limits"].get("cpu") == ("2" if follows else None)
    note = '# CONCURRENCY is not set, or "auto": it follows this limit, or else'
    assert (note in exported("kubernetes")) is follows


@pytest.mark.parametrize(
    ("name", "value", "entry"),
    [
        ("HUEY", {"consumer": {"workers": 7}}, HUEY),
        (
            "Q_CLUSTER",
            {"workers": 7},
            {"BACKEND": f"{BACKENDS}.django_q2.DjangoQ2Worker"},
        ),
        (
            "PROCRASTINATE_WORKER_DEFAULTS",
            {"concurrency": 7},
            {"BACKEND": f"{BACKENDS}.procrastinate.ProcrastinateWorker"},
        ),
    ],
)
def test_a_queue_that_has_a_setting_of_its_own_is_asked(
    name, value, entry, manifests, configured
):
    setattr(configured, name, value)
    configured.PRODUCTION_PROCESSES = {"worker": entry}
    skip_without_servers(configured.PRODUCTION_PROCESSES)
    resources = container(manifests()["Deployment", "shop-worker"])["resources"]
    assert resources["requests"]["cpu"] == "1750m"


def test_a_celery_app_that_has_a_concurrency_is_asked(
    manifests, configured, monkeypatch
):
    from proj.celery import app

    monkeypatch.setitem(app.conf, "worker_concurrency", 7)
    configured.PRODUCTION_PROCESSES = {"worker": CELERY}
    resources = container(manifests()["Deployment", "shop-worker"])["resources"]
    assert resources["requests"]["cpu"] == "1750m"


def test_the_kustomization_has_each_file(configured, tmp_path):
    command.run("kubernetes", (), print, output=tmp_path)
    content = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    written = {path.name for path in tmp_path.iterdir()}
    assert {*content["resources"], "kustomization.yaml"} == written
    assert content["images"][0]["name"] == "shop"


def test_the_kustomization_names_one_namespace(configured):
    text = exported("kubernetes")
    assert "#   namespace: shop\n" in text
    commands = re.findall(r"^#   kubectl (?!create namespace)(.*)", text, re.MULTILINE)
    assert len(commands) == 2
    assert all(" -n shop " in command for command in commands)


@pytest.mark.parametrize("form", ["kubernetes", "procfile", "kamal"])
def test_names_that_become_the_same_are_refused(form, configured):
    configured.PRODUCTION_PROCESSES = {
        "a_b": {"BACKEND": GUNICORN},
        "a.b": {"BACKEND": GUNICORN},
    }
    with pytest.raises(UsageError, match=r"'a_b' and 'a\.b' would both be 'a-b'"):
        exported(form)


# systemd


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_systemd_takes_the_units(configured, tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    command.run("systemd", (), print, output=tmp_path)
    units = sorted(path for path in tmp_path.iterdir())
    names = ["beat.service", "release.service", "web.service", "web.socket"]
    expected = [
        *(f"shop-{name}" for name in names),
        "shop-worker.service",
        "shop.target",
    ]
    assert [path.name for path in units] == expected
    for path in units:
        # The project is on another machine.
        path.write_text(path.read_text().replace("/srv/shop/.venv/bin", str(BIN)))

    def verify() -> str:
        words = [program, "verify", "--man=no", *map(str, units)]
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
        # Of other units on this machine it speaks as well.
        return "\n".join(line for line in done.stderr.splitlines() if "shop" in line)

    assert verify() == ""
    units[-1].write_text(units[-1].read_text() + "[Servce]\nType=exec\n")
    assert "Servce" in verify()


def test_a_unit_has_the_times_of_its_process(configured):
    text = exported("systemd", "web")
    assert "ExecStart=/srv/shop/.venv/bin/prodserver web\n" in text
    assert "prodserver-probe --drain 5 web\n" in text
    assert "TimeoutStopSec=65\n" in text
    assert "RestartPreventExitStatus=2 78\n" in text
    assert text.count("StartLimitIntervalSec=0\n") == 1
    assert 'Environment="PRICE=5$"\n' in text
    assert "ListenStream=127.0.0.1:8000\n" in text


def test_a_stop_closes_the_socket_and_a_restart_does_not(configured):
    """Otherwise the next request would start the process again, as systemd 252 did."""
    text = exported("systemd", "web")
    socket = text.partition("shop-web.socket <==")[2]
    assert "StopPropagatedFrom=shop.target\n" in socket
    assert "PartOf=" not in socket


def test_only_a_server_that_takes_sockets_has_one(configured):
    uvicorn = f"{BACKENDS}.uvicorn.UvicornServer"
    configured.PRODUCTION_PROCESSES = {"web": {"BACKEND": uvicorn}}
    skip_without_servers(configured.PRODUCTION_PROCESSES)
    assert "[Socket]" not in exported("systemd")
    web = {"BACKEND": uvicorn, "BIND": "fd://3"}
    configured.PRODUCTION_PROCESSES = {"web": web}
    assert "[Socket]" in exported("systemd")


def test_a_value_of_a_unit_is_not_expanded(configured):
    web = {"BACKEND": GUNICORN, "ENV": {"FORMAT": 'a "%h" \\'}}
    configured.PRODUCTION_PROCESSES = {"web": web}
    assert 'Environment="FORMAT=a \\"%%h\\" \\\\"\n' in exported("systemd")


# Procfile and Kamal


def test_a_procfile_has_the_release_as_the_platforms_know_it(configured):
    configured.PRODUCTION_PROCESSES = {
        "web": PROCESSES["web"],
        "before": PROCESSES["release"],
        "after.all": PROCESSES["release"],
    }
    assert exported("procfile").splitlines()[1:] == [
        "release: prodserver before && prodserver after.all",
        "web: prodserver web",
    ]


def test_kamal_has_a_role_for_each_process(configured, tmp_path):
    command.run("kamal", (), print, output=tmp_path)
    content = yaml.safe_load((tmp_path / "config" / "deploy.yml").read_text())
    roles = content["servers"]
    assert list(roles) == ["web", "worker", "beat"]
    assert [role["proxy"] for role in roles.values()] == [True, False, False]
    assert roles["web"]["cmd"] == "prodserver web"
    assert roles["web"]["options"]["stop-timeout"] == 65
    assert content["proxy"]["healthcheck"]["path"] == "/-/ready"
    assert content["env"]["secret"] == ["API_TOKEN", "BROKER_URL", "DATABASE_PASSWORD"]
    hook = tmp_path / ".kamal" / "hooks" / "pre-deploy"
    assert hook.read_text().endswith("'prodserver release'\n")
    assert os.access(hook, os.X_OK)


# The command line


def test_a_format_and_a_process_are_suggested(configured):
    with pytest.raises(UsageError, match="'compose'"):
        command.run("compos", (), print)
    with pytest.raises(UnknownProcess, match="Did you mean 'worker'"):
        exported("compose", "wroker")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--export", "compose", "-o", "x", "--check", "x"], "Use one."),
        (["--export", "compose", "web", "--workers=2"], "takes only process names"),
    ],
)
def test_wrong_usage_is_said(args, said, configured):
    from django.core.management import CommandError

    with pytest.raises(CommandError, match=said) as error:
        call_command("prodserver", *args)
    assert error.value.returncode == 2


@pytest.mark.parametrize("form", command.FORMATS)
def test_what_is_written_is_equal_until_a_hand_or_the_settings_change_it(
    form, configured, tmp_path, capsys
):
    def check() -> tuple[int, str]:
        printed: list[str] = []
        code = command.run(form, (), printed.append, check=tmp_path)
        return code, "\n".join(printed)

    code, diff = check()
    assert code == 1
    assert "--- /dev/null" in diff
    assert command.run(form, (), print, output=tmp_path) == 0
    assert "wrote" in capsys.readouterr().err
    assert check() == (0, "")

    written = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    path = next(path for path in written if "prodserver web" in _flat(path))
    path.write_text(path.read_text().replace("web", "wab", 1))
    code, diff = check()
    assert code == 1
    assert f"--- {path}" in diff
    assert "\n+" in diff
    assert f"-o {tmp_path}" in capsys.readouterr().err

    assert command.run(form, (), print, output=tmp_path) == 0
    assert check() == (0, "")
    configured.PRODUCTION_PROCESSES = dict(list(PROCESSES.items())[:1])
    assert check()[0] == 1


def _flat(path: Path) -> str:
    return path.read_text().replace("[", "").replace(",", "")


@pytest.mark.parametrize("form", command.FORMATS)
def test_a_file_of_somebody_else_is_kept(form, configured, tmp_path):
    assert command.run(form, (), print, output=tmp_path) == 0
    written = [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    for path in written:
        assert any(HEADER in line for line in path.read_text().splitlines()[:2]), path
    written[-1].write_text("mine\n")
    others = {path: path.read_text() for path in written}
    configured.PRODUCTION_PROCESSES = {
        name: {**entry, "GRACEFUL_TIMEOUT": 99} if name != "release" else entry
        for name, entry in PROCESSES.items()
    }
    with pytest.raises(UsageError, match="was not written by --export"):
        command.run(form, (), print, output=tmp_path)
    assert {path: path.read_text() for path in written} == others, "nothing is written"


def test_a_directory_that_cannot_be_is_said(configured, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        command.run("compose", (), print, output=tmp_path / "file")


# The example


def test_the_example_is_exported_as_it_is_recommended(tmp_path):
    """compose.example.yaml is written by hand; where both say something, it agrees."""
    env = {
        **os.environ,
        "DATABASE_URL": "postgresql://paperwork@postgres/paperwork",
        "DJANGO_SETTINGS_MODULE": "paperwork.settings",
        "EXAMPLE_DATA_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [BIN / "prodserver", "--export", "compose"],
        cwd=ROOT / "example",
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours = yaml.safe_load(done.stdout)["services"]
    theirs = yaml.safe_load((ROOT / "compose.example.yaml").read_text())["services"]
    renamed = {"postgres": "database", "redis": "broker"}
    pairs = {"web": "web", "celery": "worker", "beat": "beat", "release": "release"}
    hardened = ("restart", "read_only", "cap_drop", "security_opt", "tmpfs")
    for name, other in {**pairs, "database": "postgres", "broker": "redis"}.items():
        for key in hardened:
            assert ours[name][key] == theirs[other][key], (name, key)
    for name, other in pairs.items():
        wanted = {renamed.get(n, n): c for n, c in theirs[other]["depends_on"].items()}
        assert wanted.items() <= ours[name]["depends_on"].items(), name
        seconds = [
            int(s[name]["stop_grace_period"][:-1])
            for s in (ours, {name: theirs[other]})
        ]
        assert seconds[0] >= seconds[1]
    for name, other in (("database", "postgres"), ("broker", "redis")):
        for key in ("user", "healthcheck", "command"):
            mine, hand_made = ours[name].get(key), theirs[other].get(key)
            if key == "healthcheck":
                mine, hand_made = (
                    {**m, "test": m["test"][1]} for m in (mine, hand_made)
                )
            assert mine == hand_made, (name, key)


def test_the_names_of_projects(monkeypatch):
    for module, name in {
        "shop.settings": "shop",
        "my_shop.settings.production": "my-shop",
        "config.settings": "app",
        "": "app",
    }.items():
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", module)
        assert project._name() == name
