"""Every question to ClickHouse that the documents tell to ask is one that it answers."""

import re
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from sql.server import Store

pytestmark = pytest.mark.clickhouse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUERIES = sorted(
    {
        query
        for page in PAGES
        for query in re.findall(r'tracefuse sql "([^"]+)"', page.read_text("utf-8"))
        if "SELECT" in query
    }
)


@pytest.fixture(scope="module")
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host=store.host, port=store.port, database=database
    ) as connected:
        yield connected


@pytest.mark.parametrize("query", QUERIES)
def test_it_is_answered(query: str, client: Client) -> None:
    """Tables, views and columns have these names."""
    asked = {"i": "inc-0.0", "t": "0" * 32, "a": "refunds", "at": "2026-11-20 14:02:00"}
    client.query(query, parameters=asked)


def test_there_are_some() -> None:
    """The control: pages without questions would pass, too."""
    assert len(QUERIES) > 10
