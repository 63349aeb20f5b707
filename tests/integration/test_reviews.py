"""An allowed call is judged afterwards, on a real broker, store, worker and sink, with the commands."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

import tracefuse
from dashboards import cli
from ingest import codec, keys
from ingest.agent_file import AgentFile, Owner, Tool
from ingest.keys import Keys
from ingest.provision import provision
from ingest.records import Review, Reviewed
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.detect.reviewing import record_key
from stream.people.registration import publish
from stream.replay import replay
from tests.sinking import client
from tests.workers import SINK, Processes, verified
from tracefuse import wire
from tracefuse.errors import ToolDenied
from tracefuse.signing import CommandSigner

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PATIENCE = 60.0
TOOL = "crm.pay"
FILE = AgentFile(
    "refunds", tenant="acme", owner=Owner("Payments"), review_share=1.0,
    tools={TOOL: Tool(access="write", decision_args=("amount",))},
)  # fmt: skip
WAITING = "SELECT call_id, trace_id, args_hash FROM reviews WHERE labels = 0 ORDER BY sampled_at"


@dataclass(frozen=True)
class Stack:
    settings: Settings
    keys: Keys
    fuse: tracefuse.Fuse

    def rows(self, query: str) -> list[Any]:
        with client(self.settings) as db:
            return list(db.query(query).result_rows)

    def pay(self, amount: float) -> str:
        """One payment for carl; its call id, once it waits for a review."""
        with self.fuse.trace(user="carl") as trace, trace.tool(TOOL, {"amount": amount}) as call:
            pass
        until(lambda: call.call_id in {row[0] for row in self.rows(WAITING)}, "never put aside")
        return call.call_id


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def runs(fuse: tracefuse.Fuse) -> bool:
    """Whether a worker answers: the first ones load for some seconds."""
    try:
        with fuse.trace(user="warm") as trace, trace.tool(TOOL, {"amount": 0.0}):
            return True
    except ToolDenied:
        return False


@pytest.fixture(scope="module")
def stack(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An agent at work, with everything that decides and records beside it."""
    asyncio.run(provision(settings))
    held = keys.create(settings.keys_folder)
    asyncio.run(publish(settings, held, [FILE]))
    processes = Processes(settings, tmp_path_factory.mktemp("logs"))
    processes.start("worker")
    processes.start("sink", *SINK)
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=held.credential("acme", "refunds"),
        decision_args={TOOL: ("amount",)},
    )  # fmt: skip
    until(lambda: fuse.held.listening and fuse.held.grants is not None, "no file")
    until(lambda: runs(fuse), "no worker answers")
    yield Stack(settings, held, fuse)
    fuse.close()
    processes.stop()


@pytest.fixture(autouse=True)
def environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find this file's services as a shell's would."""
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)


async def put(settings: Settings, fact: Reviewed) -> RecordMetadata:
    """Write into the agent's inbox, as whoever may write there could."""
    number = wire.partition_of(wire.agent_key(fact.tenant, fact.agent_id))
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        return await producer.send_and_wait(
            INBOX, codec.encode(fact), partition=number, headers=[(wire.KIND, codec.INBOX)]
        )


def test_a_person_judges_an_allowed_call(
    stack: Stack, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is listed, judged, no longer listed, measured; a replay computes sample and labels again."""
    first, second = stack.pay(10.0), stack.pay(20.0)
    assert cli.main(["reviews", "list", "--agent", "acme/refunds", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert cli.main(["reviews", "list", "--agent", "acme/other", "--json"]) == 0
    others = json.loads(capsys.readouterr().out)

    assert [row["call_id"] for row in listed[:2]] == [second, first]
    assert (listed[0]["agent"], listed[0]["tool"], listed[0]["user"]) == (
        "acme/refunds", TOOL, "carl",
    )  # fmt: skip
    assert json.loads(listed[0]["arguments"]) == {"amount": 20.0}
    assert others == []

    judge = ["review", first, "--label", "wrong", "--note", "paid twice", "--json"]
    assert cli.main([*judge, "--by", "carl"]) == cli.NO
    assert "who asked may not judge" in capsys.readouterr().err
    assert cli.main([*judge, "--by", "ann"]) == 0
    assert json.loads(capsys.readouterr().out) == {"call_id": first, "label": "wrong", "by": "ann"}
    assert cli.main(["review", second, "--label", "wrong", "--by", "ann"]) == 0
    assert cli.main(["review", second, "--label", "right", "--by", "ann"]) == 0
    assert cli.main(["review", "nobody's", "--label", "right", "--by", "ann"]) == cli.NO

    labels = "SELECT call_id, label, person, note FROM labels ORDER BY at"
    until(lambda: (second, "right", "ann", "") in stack.rows(labels), "never stored")
    assert stack.rows(labels)[0] == (first, "wrong", "ann", "paid twice")
    assert {first, second}.isdisjoint(row[0] for row in stack.rows(WAITING))
    outcomes = "SELECT agent_id, tool, labelled, judged_wrong, wrong_share FROM review_outcomes"
    assert stack.rows(outcomes) == [("refunds", TOOL, 2, 1, 0.5)]

    report = asyncio.run(verified(stack.settings, stack.keys))
    assert report.exit_code == replay.SAME, report.differences
    assert report.compared["sampled"] >= 2
    assert report.compared["label"] == 3


def test_a_forged_label_is_no_label(stack: Stack) -> None:
    """Whoever may write into the inbox still lacks a person's key; it is told, and stored as nothing."""
    call_id = stack.pay(30.0)
    (trace_id, args_hash) = next(row[1:] for row in stack.rows(WAITING) if row[0] == call_id)
    said = Review(
        trace_id=trace_id, call_id=call_id, tool=TOOL, args_hash=args_hash, label="right",
        by="ann", at=1,
    )  # fmt: skip
    payload, true = codec.encode(said), stack.keys.signer("human")

    def fact(signer: CommandSigner) -> Reviewed:
        key = record_key("acme", "refunds", trace_id, call_id)
        return Reviewed(
            record_id="r", tenant="acme", agent_id="refunds", trace_id=trace_id, call_id=call_id,
            kid=true.kid, sig=signer.sign(key, payload), payload=payload,
        )  # fmt: skip

    def labelled() -> bool:
        return call_id in {row[0] for row in stack.rows("SELECT call_id FROM labels")}

    told = "SELECT sentence FROM signals WHERE detector = 'review'"
    asyncio.run(put(stack.settings, fact(CommandSigner(true.kid, b"f" * 32))))
    until(lambda: stack.rows(told), "it was never told")
    time.sleep(2.0)  # by then a label would have been stored

    assert "not signed" in stack.rows(told)[0][0]
    assert not labelled()
    asyncio.run(put(stack.settings, fact(true)))
    until(labelled, "the true one never counted")
