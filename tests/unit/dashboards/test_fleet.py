"""The dashboard as code: what Grafana reads is what the builder says, and it fits together."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.grafana import fleet
from dashboards.grafana.panels import CLICKHOUSE, PLUGIN_VERSION, PROMETHEUS

ROOT = Path(__file__).parents[3]
PROVISIONING = ROOT / "dashboards" / "grafana" / "provisioning"
PANELS = fleet.build()["panels"]


def provisioned(name: str) -> Any:
    return yaml.safe_load((PROVISIONING / name / "tracefuse.yaml").read_text("utf-8"))


def test_the_file_is_what_the_builder_says() -> None:
    """After a change: `python -m dashboards.grafana.fleet`."""
    assert fleet.FILE.read_text("utf-8") == fleet.text()


def test_panels_do_not_overlap() -> None:
    """Each panel has its own place within 24 columns, an id of its own, and says what it shows."""
    cells = [
        {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        for g in (panel["gridPos"] for panel in PANELS)
    ]

    assert all(not (a & b) for a, b in itertools.combinations(cells, 2))
    assert max(x for cell in cells for x, _ in cell) < 24
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["description"] for panel in PANELS)


def test_sources_are_those_provisioned() -> None:
    """Dashboard, alarm rule and publishing ask the two data sources that provisioning creates."""
    created = {one["uid"]: one["type"] for one in provisioned("datasources")["datasources"]}
    asked = {
        (target["datasource"]["uid"], target["datasource"]["type"])
        for panel in PANELS
        for target in panel["targets"]
    }
    rules = provisioned("alerting")["groups"][0]["rules"]
    alarmed = {query["datasourceUid"] for rule in rules for query in rule["data"]}

    assert asked == set(created.items())
    assert created == {one["uid"]: one["type"] for one in (CLICKHOUSE, PROMETHEUS)}
    assert alarmed - {"__expr__"} <= created.keys()


def test_the_plugin_is_the_one_installed() -> None:
    """Queries are written for the plugin version that docker-compose.yml installs."""
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")

    assert f"grafana-clickhouse-datasource@{PLUGIN_VERSION}" in compose


@pytest.mark.parametrize(
    "query",
    [t["rawSql"] for panel in PANELS for t in panel["targets"] if "rawSql" in t],
)
def test_every_question_is_bounded(query: str) -> None:
    """Each SQL asks for the chosen tenants only, and events and logs only for the chosen time."""
    tables = re.findall(r"FROM (\w+)", query)

    assert query.count("tenant IN (${tenant:singlequote})") >= len(tables)
    assert query.count("$__timeFilter(") == len([t for t in tables if t != "open_breakers"])
