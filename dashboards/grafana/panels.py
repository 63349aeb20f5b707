"""Panels as plain values: what Grafana's JSON says in forty lines, said in one."""

from typing import Any

Json = dict[str, Any]

CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "tracefuse-clickhouse"}
PROMETHEUS = {"type": "prometheus", "uid": "tracefuse-prometheus"}
PLUGIN_VERSION = "4.20.0"  # of grafana-clickhouse-datasource, as docker-compose.yml installs it

# The plugin's numbers for what becomes of a result.
_FORMATS = {"timeseries": 0, "table": 1}


def sql(query: str, kind: str = "table") -> Json:
    """A question to ClickHouse: `table`, or `timeseries` where the first column is a time."""
    return {
        "datasource": CLICKHOUSE,
        "editorType": "sql",
        "queryType": kind,
        "format": _FORMATS[kind],
        "pluginVersion": PLUGIN_VERSION,
        "rawSql": query.strip(),
    }


def prometheus(expression: str, legend: str = "") -> Json:
    """A question to Prometheus."""
    return {
        "datasource": PROMETHEUS,
        "expr": expression,
        "legendFormat": legend or "__auto",
        "range": True,
    }


def stat(
    title: str, says: str, target: Json, unit: str = "short", bad: float | None = None
) -> Json:
    """One figure; from `bad` on it is red."""
    made = _panel("stat", title, says, [target], unit)
    made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area"}
    made["fieldConfig"]["defaults"]["thresholds"] = _thresholds(bad)
    return made


def lines(title: str, says: str, targets: list[Json], unit: str = "short") -> Json:
    """Figures over time."""
    made = _panel("timeseries", title, says, targets, unit)
    made["options"] = {"legend": {"displayMode": "list", "placement": "bottom"}}
    return made


def bars(title: str, says: str, target: Json, unit: str = "short") -> Json:
    """Counts over time, stacked."""
    made = _panel("timeseries", title, says, [target], unit)
    made["fieldConfig"]["defaults"]["custom"] = {
        "drawStyle": "bars",
        "fillOpacity": 80,
        "stacking": {"mode": "normal"},
    }
    return made


def ranking(title: str, says: str, target: Json, unit: str = "short") -> Json:
    """The most of something, one bar a row."""
    made = _panel("bargauge", title, says, [target], unit)
    made["options"] = {
        "orientation": "horizontal",
        "displayMode": "basic",
        "reduceOptions": {"values": True, "calcs": ["lastNotNull"]},
    }
    return made


def table(title: str, says: str, target: Json) -> Json:
    """Rows as they are. Text of agents is shown as text: no column is a link, none is HTML."""
    return _panel("table", title, says, [target], "none")


def place(rows: list[list[tuple[int, Json]]], height: int = 7) -> list[Json]:
    """Give panels of (width, panel) rows their places on Grafana's 24 columns, and their ids."""
    placed: list[Json] = []
    for row, panels in enumerate(rows):
        x = 0
        for width, panel in panels:
            grid = {"x": x, "y": row * height, "w": width, "h": height}
            placed.append({"id": len(placed) + 1, "gridPos": grid, **panel})
            x += width
        assert x <= 24, f"row {row} is {x} columns wide"
    return placed


def _panel(kind: str, title: str, says: str, targets: list[Json], unit: str) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": says,
        "datasource": targets[0]["datasource"],
        "targets": [{"refId": chr(65 + i), **target} for i, target in enumerate(targets)],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
    }


def _thresholds(bad: float | None) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if bad is not None:
        steps.append({"color": "red", "value": bad})
    return {"mode": "absolute", "steps": steps}
