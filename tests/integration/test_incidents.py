"""Incidents judged by people, on a real broker, store, worker, correlate and sink, with the commands."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

import tracefuse
from dashboards import cli
from ingest import keys
from ingest.agent_file import AgentFile, Budgets, Owner, Tool
from ingest.keys import Keys
from ingest.provision import provision
from ingest.reading import reader
from ingest.settings import Settings
from ingest.topics import APPROVALS, CONTROL_LOG, INCIDENTS, REGISTRY, SIGNALS, TOPICS, VERDICTS
from stream.people.registration import publish
from stream.replay import replay
from tests.sinking import client
from tests.workers import CORRELATE, SINK, Processes, verified
from tracefuse.errors import CircuitOpen

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PATIENCE = 60.0
TOOL = "crm.find"
FILE = AgentFile(
    "refunds", tenant="acme", owner=Owner("Payments"), tools={TOOL: Tool()},
    budgets=Budgets(run_usd=10.0),
)  # fmt: skip
POLICY = """
agent = "refunds"
tenant = "acme"
[owner]
name = "Payments"
[tools]
"crm.find" = { access = "read" }
[budgets]
run_usd = %.1f
"""


@dataclass(frozen=True)
class Stack:
    settings: Settings
    keys: Keys
    fuse: tracefuse.Fuse

    def rows(self, query: str) -> list[Any]:
        with client(self.settings) as db:
            return list(db.query(query).result_rows)

    def loop(self) -> str:
        """A run that repeats itself until it is stopped; its trace id."""
        with self.fuse.trace() as trace:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                try:
                    with trace.tool(TOOL, {"order": 1}) as call:
                        call.result("nothing")
                except CircuitOpen:
                    return trace.trace_id
                time.sleep(0.05)
        raise AssertionError("the loop was never stopped")

    def spend(self, calls: int, dollars: float) -> str:
        """A run whose calls are not alike and cost so much each; its trace id."""
        with self.fuse.trace() as trace:
            for order in range(calls):
                with trace.tool(TOOL, {"order": order}) as call:
                    call.usage(cost_usd=dollars)
                    call.result(f"order {order}")
        done = (
            f"SELECT count() FROM steps_final WHERE trace_id = '{trace.trace_id}' AND status = 'ok'"
        )
        until(lambda: self.rows(done) == [(calls,)], "the run was never stored")
        return trace.trace_id

    async def ends(self) -> dict[str, int]:
        """How much stands on each topic that time alone does not fill."""
        said = (SIGNALS, CONTROL_LOG, VERDICTS, INCIDENTS, APPROVALS, REGISTRY)
        async with reader(self.settings.bootstrap) as consumer:
            places = [TopicPartition(t, n) for t in said for n in range(TOPICS[t].partitions)]
            found = await consumer.end_offsets(places)
        return {f"{place.topic}/{place.partition}": end for place, end in found.items()}


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def stack(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An agent at work, with everything that decides and records beside it."""
    asyncio.run(provision(settings))
    held = keys.create(settings.keys_folder)
    asyncio.run(publish(settings, held, [FILE]))
    processes = Processes(settings, tmp_path_factory.mktemp("logs"))
    processes.start("worker")
    processes.start("correlate", *CORRELATE)
    processes.start("sink", *SINK)
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=held.credential("acme", "refunds")
    )
    until(lambda: fuse.held.listening and fuse.held.grants is not None, "no file")
    yield Stack(settings, held, fuse)
    fuse.close()
    processes.stop()


@pytest.fixture(autouse=True)
def environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find this file's services as a shell's would."""
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)


def test_a_person_judges_an_incident(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed, judged, corrected, measured; a replay computes each label again."""
    trace_id = stack.loop()
    found = f"SELECT incident_id FROM incidents WHERE trace_id = '{trace_id}'"
    until(lambda: stack.rows(found), "no incident was stored")
    ((incident,),) = stack.rows(found)

    def said(*words: str) -> Any:
        assert cli.main(["incidents", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    judge = ["judge", incident, "--by", "ann", "--reason", "it asked on and on"]
    first = said(judge[0], judge[1], "real", *judge[2:])
    assert (first["detector"], first["real"], first["false"]) == ("exact_loop", 1, 0)
    second = said(judge[0], judge[1], "false", *judge[2:])
    assert (second["label"], second["real"], second["false"]) == ("false", 0, 1)
    assert cli.main(["incidents", "judge", "inc-none", "real", "--by", "a", "--reason", "b"]) == 1
    capsys.readouterr()

    precision = "SELECT detector, judged_real, judged_false, precision FROM precision_of_detectors"
    until(lambda: stack.rows(precision) == [("exact_loop", 0, 1, 1 / 3)], "never measured")
    assert [word["label"] for word in said("show", incident)["words"]] == ["real", "false"]
    listed = said("list", "--agent", "acme/refunds", "--label", "false")
    assert [(row["incident"], row["by"]) for row in listed] == [(incident, "ann")]
    assert said("list", "--label", "none") == []
    worst = said("list", "--worst", "--risk", "ASI08")
    assert incident in {row["incident"] for row in worst}
    assert [row["rank"] for row in worst] == sorted((row["rank"] for row in worst), reverse=True)
    assert incident not in {row["incident"] for row in said("list", "--risk", "ASI01")}

    report = asyncio.run(verified(stack.settings, stack.keys))
    assert report.exit_code == replay.SAME, report.differences
    assert report.compared["incident_label"] == 2


def test_a_lower_cap_shows_what_it_would_have_stopped(
    stack: Stack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The dear run, not the cheap one, with the sentence; the same file changes nothing; none is written."""
    dear, cheap = stack.spend(5, 1.5), stack.spend(5, 0.1)
    policy, before = tmp_path / "refunds.toml", asyncio.run(stack.ends())
    asked = ["replay", "--since", "1h", "--policy", str(policy)]

    policy.write_text(POLICY % 10.0)
    assert cli.main(asked) == 0
    assert "no difference in" in capsys.readouterr().out

    policy.write_text(POLICY % 4.0)
    assert cli.main(asked) == 1
    told = capsys.readouterr().out
    assert cli.main([*asked, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (stop,) = [change for change in found["changes"] if change["kind"] == "stop"]
    assert (stop["how"], stop["what"], stop["trace_id"]) == ("appears", "cost_cap", dear)
    assert f"run {dear}" in told and stop["sentence"] in told and cheap not in told
    assert found["unmade"] == {dear: 2}

    assert cli.main(["replay", "--since", "soon", "--policy", str(policy)]) == cli.USAGE
    policy.write_text(POLICY % -1.0)
    assert cli.main(asked) == cli.USAGE
    assert asyncio.run(stack.ends()) == before


def test_an_incident_becomes_a_case(
    stack: Stack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What was judged real is exported, holds when played, and fails under a file that lets it happen."""
    trace_id = stack.loop()
    found = f"SELECT incident_id FROM incidents WHERE trace_id = '{trace_id}'"
    until(lambda: stack.rows(found), "no incident was stored")
    ((incident,),) = stack.rows(found)
    assert cli.main(["incidents", "judge", incident, "real", "--by", "ann", "--reason", "r"]) == 0
    word = f"SELECT label FROM incident_labels WHERE incident_id = '{incident}'"
    until(lambda: stack.rows(word) == [("real",)], "the word was never stored")

    cases, polled = tmp_path / "cases.jsonl", tmp_path / "polled.toml"
    export = ["incidents", "export", "--since", "1h", "--label", "real", "--to", str(cases)]
    assert cli.main(export) == 0, capsys.readouterr()
    (case,) = [json.loads(line) for line in cases.read_text().splitlines()]
    assert (case["incident_id"], case["expected"]["detector"]) == (incident, "exact_loop")
    assert {fact[1]["trace_id"] for fact in case["facts"]} == {trace_id}
    assert cli.main(["incidents", "check", str(cases)]) == 0

    polled.write_text((POLICY % 10.0).replace('access = "read"', "poll = true"))
    assert cli.main(["incidents", "check", str(cases), "--policy", str(polled)]) == 1
    assert "FAILED" in capsys.readouterr().out
    assert cli.main(["incidents", "check", str(polled)]) == cli.USAGE
    assert (
        cli.main(
            ["incidents", "export", "--since", "1h", "--agent", "acme/none", "--to", str(cases)]
        )
        == 1
    )
