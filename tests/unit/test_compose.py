"""The production shape is consistent in itself and with the code that it starts.

`SCHEMA` is ours: the part of the Compose Specification that the file uses, and nothing else, so that
a misspelt key fails. The specification's own schema comes with no package that the tests need.
Prometheus' and Alertmanager's files are checked by their own programs; CI must have them.
"""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from dashboards.cli import COMMANDS
from ingest import metrics, registry
from ingest.settings import PREFIX, from_environment
from ingest.topics import PARTITIONS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

STAGES = {"worker", "sink", "correlate", "alerts"}
ONE_SHOT = {"setup"}

TEXTS = {"type": "array", "items": {"type": "string"}}
TEXT_MAP = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION = {"type": "string", "pattern": r"^\d+s$"}
EMPTY = {"type": "null"}


def closed(required: list[str], **properties: object) -> dict[str, object]:
    """An object with these properties and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


SERVICE = closed(
    ["image", "restart", "logging"],
    image={"type": "string"},
    build={"type": "string"},
    command=TEXTS,
    environment=TEXT_MAP,
    secrets=TEXTS,
    ports=TEXTS,
    expose=TEXTS,
    volumes=TEXTS,
    tmpfs=TEXTS,
    read_only={"type": "boolean"},
    cap_drop=TEXTS,
    security_opt=TEXTS,
    stop_grace_period=DURATION,
    restart={"enum": ["unless-stopped", "on-failure"]},
    logging=closed(["driver"], driver={"const": "local"}, options=TEXT_MAP),
    deploy=closed(["replicas"], replicas={"type": "integer", "minimum": 1}),
    ulimits=closed(
        [],
        nofile=closed(["soft", "hard"], soft={"type": "integer"}, hard={"type": "integer"}),
    ),
    depends_on={
        "type": "object",
        "additionalProperties": closed(
            ["condition"],
            condition={
                "enum": ["service_healthy", "service_started", "service_completed_successfully"]
            },
        ),
    },
    healthcheck=closed(
        ["test", "interval", "timeout", "retries"],
        test=TEXTS,
        interval=DURATION,
        timeout=DURATION,
        start_period=DURATION,
        retries={"type": "integer", "minimum": 1},
    ),
)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "secrets": {
            "type": "object",
            "additionalProperties": closed(["environment"], environment={"type": "string"}),
        },
        "volumes": {"type": "object", "additionalProperties": EMPTY},
    },
    "patternProperties": {"^x-": {}},
    "required": ["name", "services", "volumes"],
    "additionalProperties": False,
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


COMPOSE = read(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = read(DEPLOY / "prometheus.yml")
MOUNTS = [
    (service, mount.replace("${AGENTS_DIR:-./deploy/agents}", "./deploy/agents").split(":"))
    for service, body in SERVICES.items()
    for mount in body.get("volumes", [])
]


def test_the_file_is_valid() -> None:
    """Every key is one that Compose knows, with a value of its kind."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    jsonschema.validate(COMPOSE, SCHEMA)


def test_control_a_misspelt_key_is_found() -> None:
    """The schema is closed: `restrat` is not let through."""
    misspelt = COMPOSE | {"services": {"kafka": SERVICES["kafka"] | {"restrat": "always"}}}

    with pytest.raises(jsonschema.ValidationError, match="restrat"):
        jsonschema.validate(misspelt, SCHEMA)


def pinned(image: str) -> bool:
    """Whether a tag names one version: at least major and minor."""
    _, _, tag = image.partition(":")
    return re.fullmatch(r"v?\d+(\.\d+)+(-[\w.-]+)?", tag) is not None


@pytest.mark.parametrize("image", ["kafka", "kafka:latest", "kafka:4", "kafka:stable"])
def test_control_an_open_tag_is_found(image: str) -> None:
    """A tag that moves is no version."""
    assert not pinned(image)


def test_every_image_is_pinned() -> None:
    """A rebuild next year starts the same programs."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    images = [body["image"] for body in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)

    assert [image for image in images if not pinned(image)] == []
    assert all(
        "@" in p for p in SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"].split()
    )


def test_every_mounted_file_exists() -> None:
    """What a container reads from this repository is in it; every volume is declared."""
    for service, (source, *_) in MOUNTS:
        if source.startswith("."):
            assert (ROOT / source).exists(), f"{service} mounts {source}"
        else:
            assert source in COMPOSE["volumes"], f"{service} mounts the volume {source}"


def test_mounted_files_cannot_be_written() -> None:
    """No container changes this repository."""
    writable = [(service, m) for service, m in MOUNTS if m[0].startswith(".") and m[-1] != "ro"]

    assert writable == []


def test_nothing_listens_beyond_this_host() -> None:
    """Each published port is bound to loopback, and none is published twice."""
    ports = [port for body in SERVICES.values() for port in body.get("ports", [])]

    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert len(set(ports)) == len(ports) > 0


def test_every_service_has_a_health_check() -> None:
    """Only what ends by itself goes without, and it is waited for by its exit."""
    unchecked = {name for name, body in SERVICES.items() if "healthcheck" not in body}
    awaited = {
        name
        for body in SERVICES.values()
        for name, how in body.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }

    assert unchecked == ONE_SHOT == awaited


def test_the_code_knows_every_setting() -> None:
    """Each TRACEFUSE_ name is a setting, and its value is taken over as written."""
    for name in STAGES | ONE_SHOT:
        environment: dict[str, str] = SERVICES[name]["environment"]
        known = from_environment(environment).environment()

        assert {key for key in environment if not key.startswith(PREFIX)} == set()
        assert {key: known.get(key) for key in environment} == environment


def test_every_stage_is_scraped_where_it_listens() -> None:
    """Its metrics port, the port it exposes, its health check and Prometheus' target agree."""
    scraped = {
        job["job_name"]: (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"])
        for job in PROMETHEUS["scrape_configs"]
        if "dns_sd_configs" in job
    }

    assert set(scraped) == STAGES
    for name, (hosts, port) in scraped.items():
        body = SERVICES[name]
        settings = from_environment(body["environment"])
        assert hosts == [name]
        assert body["expose"] == [str(port)]
        assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", port)
        assert f"http://127.0.0.1:{port}/metrics" in body["healthcheck"]["test"][-1]
        assert body["command"] == [name]


def listening(service: str) -> set[str]:
    """Container ports that a service publishes or is checked on, and Kafka's inner listeners."""
    body = SERVICES[service]
    published = {port.rsplit(":", 1)[1] for port in body.get("ports", [])}
    inner = re.findall(r"://:(\d+)", body.get("environment", {}).get("KAFKA_LISTENERS", ""))
    return published | set(inner)


def test_every_address_is_that_of_a_service() -> None:
    """Host names are names of services, and ports are those they listen on."""
    settings = from_environment(SERVICES["worker"]["environment"])
    (alerting,) = PROMETHEUS["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    addresses = [settings.bootstrap, settings.clickhouse, settings.alertmanager, alerting]
    for job in PROMETHEUS["scrape_configs"]:
        addresses += [t for config in job.get("static_configs", []) for t in config["targets"]]

    for address in addresses:
        host, _, port = address.removeprefix("http://").partition(":")
        assert port in listening("prometheus" if host == "127.0.0.1" else host), address


def test_every_command_exists() -> None:
    """What a container is told to run is a command of `tracefuse`."""
    assert {tuple(SERVICES[name]["command"]) for name in STAGES | ONE_SHOT} <= {
        (command,) for command in COMMANDS
    }


def test_there_are_not_more_workers_than_partitions() -> None:
    """A worker beyond the partition count would hang without work."""
    assert 2 <= SERVICES["worker"]["deploy"]["replicas"] <= PARTITIONS


def test_the_cluster_id_is_one_that_kafka_prints_back() -> None:
    """16 bytes in canonical base64, or a restart refuses its own data."""
    text = SERVICES["kafka"]["environment"]["CLUSTER_ID"]
    raw = base64.urlsafe_b64decode(text + "==")

    assert len(raw) == 16
    assert base64.urlsafe_b64encode(raw).decode().rstrip("=") == text


def test_every_variable_is_in_the_example() -> None:
    """Who copies `deploy/env.example` is asked for everything, and for nothing else."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    used = set(re.findall(r"\$\{(\w+)", text)) | {
        secret["environment"] for secret in COMPOSE["secrets"].values()
    }
    example = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text("utf-8"), re.MULTILINE))

    assert used == example


def test_grafana_finds_what_is_mounted() -> None:
    """Dashboards lie where their provider looks, and each variable of a data source is given."""
    provisioning = ROOT / "dashboards" / "grafana" / "provisioning"
    targets = {m[1] for service, m in MOUNTS if service == "grafana"}
    environment = SERVICES["grafana"]["environment"]
    paths, variables = set(), set()
    for file in provisioning.rglob("*.yaml"):
        content = read(file)
        paths |= {p["options"]["path"] for p in content.get("providers", []) if "options" in p}
        if "datasources" in content:
            variables |= set(re.findall(r"\$\{?([A-Z_]+)", file.read_text("utf-8")))

    assert paths, "no dashboard provider"
    assert {path for path in paths if path not in targets} == set()
    assert variables <= environment.keys()


def test_rules_name_metrics_of_the_catalogue() -> None:
    """A rule over a metric that nobody exports would never fire."""
    text = (DEPLOY / "rules.yml").read_text("utf-8")
    exported = {
        sample
        for metric in vars(metrics).values()
        if isinstance(metric, Counter | Gauge | Histogram)
        for family in metric.describe()
        for sample in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    used = set(re.findall(r"tracefuse_\w+", text))

    assert used
    assert used - exported == set()


def test_example_agents_are_valid() -> None:
    """What `setup` publishes from the mounted folder can be read."""
    assert registry.load(DEPLOY / "agents")


def program(name: str) -> str:
    """A checker of the Prometheus family. CI must have it; elsewhere its tests skip, loudly."""
    path = shutil.which(name)
    if path is None:
        assert os.environ.get("CI") != "true", f"{name} is missing on CI"
        pytest.skip(f"NOT CHECKED: {name} is not installed")
    return path


def run(name: str, *arguments: str) -> str:
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_its_files() -> None:
    """Scrape configuration and rules, by Prometheus' own checker."""
    assert "SUCCESS" in run("promtool", "check", "config", str(DEPLOY / "prometheus.yml"))


def test_rules_fire_when_they_should() -> None:
    """Series in, alarms out, for each rule about liveness: `rules.test.yml` beside this file."""
    run("promtool", "test", "rules", str(Path(__file__).with_name("rules.test.yml")))


def test_alertmanager_accepts_its_file() -> None:
    """By Alertmanager's own checker."""
    assert "SUCCESS" in run("amtool", "check-config", str(DEPLOY / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=DeadMan", "severity=none"], "dead-man"),
        (["alertname=BreakerOpen", "severity=critical"], "page"),
        (["alertname=BreakerOpen", "severity=warning"], "chat"),
    ],
)
def test_alarms_reach_their_receiver(labels: list[str], receiver: str) -> None:
    """Critical alarms page, the dead man has a way of its own, the rest is chat."""
    file = f"--config.file={DEPLOY / 'alertmanager.yml'}"

    assert run("amtool", "config", "routes", "test", file, *labels).strip() == receiver
