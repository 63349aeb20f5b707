"""Recorded traces of real agents go the whole way: broker, worker, sink, rows; one for one."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import clickhouse, runfile
from dashboards.attached import attached
from ingest import jars, keys
from ingest.settings import Settings
from ingest.simulate.recorded import Line, replay, traces

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

TENANT, LAST = "recorded", "last"
# All of it takes a few seconds; a machine that does other things too is given ten times that.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def recording(shared: Path) -> Path:
    found = sorted(shared.glob("data/*/events.jsonl.gz"))
    if not found:
        pytest.skip("NO RECORDED TRACES, NOT TESTED: ../shared/data holds none")
    return found[0]


@pytest.fixture(scope="module")
def lines(recording: Path) -> list[Line]:
    return [line for trace in traces(recording) for line in trace]


@pytest.fixture(scope="module")
def stack(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A whole stack of this file's own; asks for the recording first, so that it starts for none."""
    try:
        jars.class_path()
    except jars.JarError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO BROKER, NOT TESTED: {error}")
    home = tmp_path_factory.mktemp("stack")
    with attached(Settings(home=str(home)), print):
        yield runfile.addressed({"TRACEFUSE_HOME": str(home)})


@pytest.fixture(scope="module")
def store(stack: Settings, recording: Path, lines: list[Line]) -> Iterator[Client]:
    """The recording was sent twice, then once for another tenant: when that is stored, all is."""
    held = keys.load(stack.keys_folder)
    sent = [asyncio.run(replay(recording, stack, held, name)) for name in (TENANT, TENANT, LAST)]
    assert len(set(sent)) == 1
    with clickhouse.client(stack) as client:
        deadline = time.monotonic() + PATIENCE_S
        while count(client, "SELECT count() FROM events WHERE tenant = 'last'") < sent[-1]:
            assert time.monotonic() < deadline, "not all events were stored in time"
            time.sleep(0.5)
        last = -1
        while last != (last := count(client, "SELECT count() FROM steps")):
            time.sleep(2.0)
        yield client


def count(client: Client, sql: str) -> int:
    return int(client.query(sql).result_rows[0][0])


def test_every_line_becomes_one_event(store: Client, lines: list[Line]) -> None:
    """Each line has its event, findable by its original ids; each agent's run a start and an end."""
    ours = "tenant = 'recorded'"
    runs = len({(line.trace_id, line.agent_id) for line in lines})
    framed = f"{ours} AND name IN ('run.start', 'run.end')"
    trace, span = (
        f"JSONExtractString(attrs, 'recorded_{name}')" for name in ("trace_id", "span_id")
    )
    original = f"SELECT uniqExact({trace}, {span}) FROM events WHERE {ours} AND NOT ({framed})"

    assert count(store, f"SELECT count() FROM events WHERE {ours}") == len(lines) + 2 * runs
    assert count(store, f"SELECT uniqExact(event_id) FROM events WHERE {framed}") == 2 * runs
    assert count(store, original) == len({(line.trace_id, line.span_id) for line in lines})


def test_nothing_was_refused(store: Client) -> None:
    """No dead letter, no quarantine: ids, names, proofs and partitions are those of a real agent."""
    assert count(store, "SELECT count() FROM dead_letters") == 0


def test_every_call_becomes_one_step_although_it_was_sent_twice(
    store: Client, lines: list[Line]
) -> None:
    """Calls, failures and tools are counted once; the second replay changed nothing."""
    calls = [line for line in lines if line.type == "tool_call"]
    failed = sum(bool(line.error) for line in lines if line.type == "tool_result")
    final = "SELECT step_id, argMax(status, (phase = 'complete', revision)) AS status FROM steps"
    mine = "tenant = 'recorded' AND action = 'tool'"

    assert count(store, f"SELECT uniqExact(step_id) FROM steps WHERE {mine}") == len(calls)
    assert count(store, "SELECT uniqExact(tool) FROM steps") == len({line.tool for line in calls})
    assert (
        count(
            store, f"SELECT countIf(status = 'error') FROM ({final} WHERE {mine} GROUP BY step_id)"
        )
        == failed
    )


def test_the_reasoning_before_a_call_is_joined_to_it(store: Client) -> None:
    """Nearly every step knows the thought it came from: agents think before they act."""
    joined = count(store, "SELECT uniqExactIf(step_id, notEmpty(reasoning)) FROM steps")

    assert joined > 0.9 * count(store, "SELECT uniqExact(step_id) FROM steps")


def test_no_text_reached_the_store(store: Client, lines: list[Line]) -> None:
    """Arguments are hashed: no distinctive argument of any call stands in any row."""
    texts = {
        value for line in lines for value in line.args.values()
        if isinstance(value, str) and len(value) > 40
    }  # fmt: skip

    assert texts
    for text in sorted(texts)[:20]:
        found = store.query(
            "SELECT count() FROM events WHERE position(raw, {text:String}) > 0",
            parameters={"text": text},
        )
        assert found.result_rows == [(0,)]
