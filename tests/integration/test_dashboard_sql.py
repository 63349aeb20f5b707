"""Every SQL of the dashboard runs on the real schema, and names of agents stay names."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import clickhouse_connect
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from dashboards.grafana import fleet
from sql.server import Store

pytestmark = pytest.mark.clickhouse

ALERTING = Path(fleet.__file__).parent / "provisioning" / "alerting" / "tracefuse.yaml"
QUERIES = {
    f"{panel['id']} {panel['title']}": target["rawSql"]
    for panel in fleet.build()["panels"]
    for target in panel["targets"]
    if "rawSql" in target
}
# What the plugin makes of its macros.
MACROS = {
    r"\$__timeFilter\((\w+)\)": r"\1 >= toDateTime('2026-01-01 00:00:00') AND \1 <= now() + 60",
    r"\$__timeInterval\((\w+)\)": r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)",
}


@pytest.fixture(scope="module")
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host=store.host, port=store.port, database=database
    ) as connected:
        yield connected


def expanded(query: str, *tenants: str) -> str:
    """As Grafana sends it: macros by the plugin, variables by `singlequote`."""
    for macro, sql in MACROS.items():
        query = re.sub(macro, sql, query)
    quoted = ",".join("'" + tenant.replace("'", "\\'") + "'" for tenant in tenants)
    query = query.replace("${tenant:singlequote}", quoted)
    assert "$" not in query, "a macro or variable that this test does not know"
    return query


@pytest.mark.parametrize("name", QUERIES)
def test_it_runs(name: str, client: Client) -> None:
    """A question that ClickHouse refuses would be an empty panel."""
    client.query(expanded(QUERIES[name], "acme"))


def test_the_alarm_runs(client: Client) -> None:
    """The rule that only ClickHouse can answer gives one number."""
    (rule,) = yaml.safe_load(ALERTING.read_text("utf-8"))["groups"][0]["rules"]
    rows = client.query(rule["data"][0]["model"]["rawSql"]).result_rows

    assert [tuple(map(int, row)) for row in rows] == [(0,)]


def test_hostile_names_are_not_offered(client: Client) -> None:
    """A tenant named to end the quotes never becomes a choice; a plain one does."""
    hostile = ["a' OR 1=1 --", "a\\", "a'); DROP TABLE events", "a\nb", ""]
    now = datetime.now(UTC)
    rows = [[tenant, f"e{i}", now] for i, tenant in enumerate(["plain-1", *hostile])]
    client.insert("events", rows, ["tenant", "event_id", "_at"])
    offered = [row[0] for row in client.query(fleet.TENANTS).result_rows]

    assert offered == ["plain-1"]
