"""The proof of a gate, on rows as the sink writes them: which runs count, and which of them went well."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from dashboards.shown import LOST_SECONDS, shown
from sql.server import Store
from stream.people.proving import Shown

pytestmark = pytest.mark.clickhouse

OFFSETS = count()
RUNS = count()
NOW = datetime.now(UTC).replace(microsecond=0)
WHO = {"tenant": "acme", "agent_id": "refunds"}


@pytest.fixture(scope="module")
def client(store: Store, database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host=store.host, port=store.port, database=database, query_limit=0
    ) as connected:
        yield connected


@pytest.fixture(autouse=True)
def empty(client: Client) -> None:
    for table in ("events", "signals", "control_log", "approvals", "incidents"):
        client.command(f"TRUNCATE TABLE {table}")


def insert(client: Client, table: str, **row: Any) -> None:
    row = WHO | {"_at": NOW, "_offset": next(OFFSETS)} | row  # equal blocks would be one
    client.insert(table, [list(row.values())], column_names=list(row))


def ran(client: Client, status: str = "ok", at: datetime = NOW, **more: Any) -> str:
    """One run; its trace id. Without a status it never says that it ended."""
    run = f"{next(RUNS):032x}"
    row = {
        "trace_id": run, "boot_id": f"boot-{run}", "environment": "staging", "bundle": "b1", "_at": at,
    } | more  # fmt: skip
    insert(client, "events", name="run.start", **row)
    if status:
        insert(client, "events", name="run.end", status=status, **row)
    return run


def judged(client: Client, **more: Any) -> tuple[int, int]:
    found = shown(client, "acme", "refunds", **more)
    return found.runs, found.well


def test_a_run_that_ended_well_counts(client: Client) -> None:
    """Once each, on the days on which they ended; one under way does not count yet."""
    ran(client)
    ran(client, at=NOW - timedelta(days=2))
    ran(client, "error", at=NOW - timedelta(days=2))
    ran(client, "")

    assert shown(client, "acme", "refunds") == Shown(runs=3, well=2, days=2)


def test_probes_prove_nothing(client: Client) -> None:
    """An owner's own tasks, run as often as wanted, open no gate; the word alone excludes no run."""
    ran(client, raw='{"attrs":{"probe":"weekly/small"}}')
    ran(client, raw='{"decision_args":{"probe":"yes"},"attrs":{}}')

    assert judged(client) == (1, 1)


def test_nothing_is_nothing(client: Client) -> None:
    """No run, no days, no open breakers; other agents' runs are theirs."""
    ran(client, agent_id="other")
    ran(client, tenant="other")

    assert shown(client, "acme", "refunds") == Shown()


def test_only_the_runs_that_were_asked_for(client: Client) -> None:
    """Of an environment, of a bundle, begun since: a stage is not proved by what ran before it."""
    ran(client)
    ran(client, environment="dev")
    ran(client, bundle="b2")
    ran(client, bundle="b2", at=NOW - timedelta(hours=1))
    began = (NOW - timedelta(minutes=1)).timestamp()

    assert judged(client, environment="staging", bundle="b1") == (1, 1)
    assert judged(client, environment="dev") == (1, 1)
    assert judged(client, bundle="b2") == (2, 2)
    assert judged(client, bundle="b2", since=began) == (1, 1)
    assert judged(client, environment="prod") == (0, 0)


NOT_WELL: dict[str, tuple[str, dict[str, Any]]] = {
    "a breaker refused a call": (
        "events", {"name": "tool.result", "status": "not_run", "error_type": "CircuitOpen"},
    ),
    "a breaker refused a model": (
        "events", {"name": "llm.response", "status": "not_run", "error_type": "CircuitOpen"},
    ),
    "the worker refused a call for a breaker": (
        "events",
        {
            "name": "tool.result", "status": "not_run", "error_type": "ToolDenied",
            "raw": '{"attrs":{"gate":"stopped"}}',
        },
    ),
    "what it did tripped a breaker": ("signals", {"detector": "error_rate", "cmd_id": "c1"}),
    "it was stopped": (
        "control_log",
        {"record": "command", "scope_kind": "run", "mode": "enforce", "state": "forced_open"},
    ),
    "it ended a second time, badly": ("events", {"name": "run.end", "status": "error"}),
}  # fmt: skip
STILL_WELL: dict[str, tuple[str, dict[str, Any]]] = {
    "a gate denied a call": (
        "events",
        {
            "name": "tool.result", "status": "not_run", "error_type": "ToolDenied",
            "raw": '{"attrs":{"gate":"budgets"}}',
        },
    ),
    "a finding that stopped nothing": ("signals", {"detector": "latency", "cmd_id": ""}),
    "its breaker was closed again": (
        "control_log",
        {"record": "command", "scope_kind": "run", "mode": "enforce", "state": "closed"},
    ),
    "a failed call": ("events", {"name": "tool.result", "status": "error", "error_type": "OSError"}),
}  # fmt: skip


@pytest.mark.parametrize("why", [*NOT_WELL, *STILL_WELL])
def test_what_speaks_against_a_run(client: Client, why: str) -> None:
    """Each alone, in the run that it happened in and in no other."""
    table, row = (NOT_WELL | STILL_WELL)[why]
    run = ran(client)
    ran(client)
    where = {"bundle": "b1", "environment": "staging"} if table == "events" else {}
    insert(client, table, trace_id=run, **where, **row)

    assert judged(client) == (2, 1 if why in NOT_WELL else 2)


def test_a_run_whose_process_fell_silent_did_not_go_well(client: Client) -> None:
    """Nobody hears of it otherwise: a bundle that kills its process would have no bad runs."""
    dead = NOW - timedelta(seconds=LOST_SECONDS + 5)
    ran(client, "", at=dead)
    run = ran(client, "", at=dead)
    insert(client, "events", name="heartbeat", boot_id=f"boot-{run}")
    ran(client)

    assert shown(client, "acme", "refunds") == Shown(runs=2, well=1, days=1, lost=1)


def test_a_store_that_lags_loses_nobody(client: Client) -> None:
    """Silence is measured by what was heard of anybody, not by the clock."""
    ran(client, "", at=NOW - timedelta(seconds=LOST_SECONDS + 5))

    assert shown(client, "acme", "refunds") == Shown()


def test_an_open_breaker_is_told(client: Client) -> None:
    """Of the agent, or of the bundle that was asked about; not of another's."""
    for scope in ("agent:acme/refunds", "bundle:acme/refunds/b2", "agent:acme/other"):
        insert(
            client, "control_log", record="command", scope=scope, scope_kind=scope.partition(":")[0],
            author="auto", mode="enforce", state="open", term=1, epoch=1, cmd_id=scope,
        )  # fmt: skip

    assert shown(client, "acme", "refunds").standing == ("agent:acme/refunds",)
    assert shown(client, "acme", "refunds", bundle="b2").standing == (
        "agent:acme/refunds", "bundle:acme/refunds/b2",
    )  # fmt: skip


def test_what_holds_a_roll_out_up_is_told_until_a_person_has_judged_it(client: Client) -> None:
    """Of this bundle, not where the file only measures it; false or expected, it no longer stands."""
    alarm = {"detector": "canary_mix", "signal_id": "sig-1", "evidence": '{"bundle":"b2"}'}
    insert(client, "signals", **alarm)
    insert(client, "incidents", incident_id="inc-1", signal_id="sig-1", detector="canary_mix")

    def against(bundle: str = "b2", **more: Any) -> tuple[tuple[str, str], ...]:
        return shown(client, "acme", "refunds", bundle=bundle, **more).against

    assert against() == (("canary_mix", "inc-1"),)
    assert against("b3") == against(measured=("canary_mix",)) == ()
    for offset, (word, stands) in enumerate(
        (("real", True), ("expected", False), ("false", False))
    ):
        said = {
            "record": "incident_label",
            "signal_id": "sig-1",
            "incident_id": "inc-1",
            "word": word,
        }
        insert(
            client, "approvals", **said, detector="canary_mix", at=NOW + timedelta(seconds=offset)
        )

        assert bool(against()) is stands, word


@pytest.mark.parametrize(
    ("action", "rollout", "stands"),
    [("annotate", "", False), ("annotate", "b2", True), ("rollback", "", True)],
)
def test_a_drift_holds_up_what_it_concerns(
    client: Client, action: str, rollout: str, stands: bool
) -> None:
    """One during a roll-out, or with a new version; a season of any other week holds nothing up."""
    evidence = f'{{"rollout":"{rollout}"}}'
    insert(
        client, "signals", detector="task_drift", signal_id="s", action=action, evidence=evidence
    )

    assert bool(shown(client, "acme", "refunds", bundle="b2").against) is stands
