"""The history of a suggestion, on rows as the sink writes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from dashboards.history import history
from ingest.agent_file import AgentFile
from ingest.agent_suggest import Minute, RunUse, ToolUse, suggest
from sql.server import Store

pytestmark = pytest.mark.clickhouse

OFFSETS = count()
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture(scope="module")
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host=store.host, port=store.port, database=database, query_limit=0
    ) as connected:
        yield connected


def step(client: Client, step_id: str, **more: Any) -> None:
    at = more.pop("at", NOON)
    row = {
        "tenant": "acme", "agent_id": "refunds", "trace_id": "t1", "step_id": step_id, "at": at,
        "phase": "complete", "action": "tool", "tool": "crm.find", "status": "ok", "_at": at,
        "environment": "prod", "task_type": "refund", "duration_us": 200_000, "_offset": next(OFFSETS),
    } | more  # fmt: skip
    client.insert("steps", [list(row.values())], column_names=list(row))


def test_a_history_counts_what_happened_once(client: Client) -> None:
    """Revisions, refusals, other agents and what is too old count for nothing."""
    step(client, "s1", cost_usd=0.01, input_tokens=90, output_tokens=10)
    step(client, "s1", cost_usd=0.02, input_tokens=90, output_tokens=10, revision=1)
    step(client, "s1", phase="request", cost_usd=9)
    step(client, "s2", at=NOON + timedelta(seconds=59))
    step(client, "s3", at=NOON + timedelta(seconds=60), trace_id="t2", spooled=True)
    step(client, "s4", action="llm", tool="", cost_usd=0.5, input_tokens=500)
    step(client, "s5", tool="crm.delete", status="not_run")
    step(client, "s6", agent_id="other")
    step(client, "s7", tool="old", at=NOON - timedelta(days=30))
    uses, minutes, runs = history(client, "acme", "refunds", days=14)
    minute = int(NOON.timestamp()) // 60

    assert uses == [ToolUse("crm.find", 3, 200.0, 0.02, 100)]
    assert minutes == [Minute("crm.find", minute, 2)]
    assert sorted(runs) == [
        RunUse(f"{NOON:%Y-%m-%d}", "prod", "refund", 0.0, 0, ("crm.find",)),
        RunUse(f"{NOON:%Y-%m-%d}", "prod", "refund", 0.52, 600, ("crm.find",)),
    ]


def test_a_suggestion_is_made_of_it(client: Client) -> None:
    """As `tracefuse registry suggest` does."""
    made = suggest(None, AgentFile("refunds", "acme"), *history(client, "acme", "refunds", days=14))

    assert set(made.file.tools) == {"crm.find"}
    assert (made.file.environment, made.file.tasks) == ("prod", ())
    assert made.file.limits["write"].per_minute == 8


def test_an_unknown_agent_has_none(client: Client) -> None:
    """Not even empty runs."""
    assert history(client, "acme", "nobody", days=14) == ([], [], [])
