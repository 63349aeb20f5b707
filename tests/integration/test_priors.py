"""A newcomer inherits from its siblings on a real broker: a worker decides by it, and replay agrees."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.agent_file import AgentFile
from ingest.agent_parts import Owner, Tool
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.records import Baseline, Learned, Prior, Signal, Step
from ingest.settings import Settings
from ingest.topics import BASELINES, EVENTS, FLEET, INBOX, SIGNALS, TOPICS
from stream.people.registration import publish
from stream.replay import replay
from tests import load
from tests.integration.test_brake import owned, until
from tests.ordering import records
from tests.workers import CORRELATE, Processes, verified
from tracefuse import wire
from tracefuse.clock import now_us

pytestmark = pytest.mark.kafka

SIBLINGS, TOOL, CALLS = 4, "crm.find", 100
CHUNK = 20  # calls of one record: two lines each


async def call(producer: AIOKafkaProducer, agent: load.Agent, failed: list[bool]) -> None:
    """So many calls of the tool, each with arguments and a result of its own; runs of twenty."""
    for begin in range(0, len(failed), CHUNK):
        agent.left += 1
        agent.trace_id = f"{agent.rng.getrandbits(96):024x}{agent.left:08x}"
        lines = []
        for n, bad in enumerate(failed[begin : begin + CHUNK]):
            mark = f"{agent.rng.getrandbits(64):016x}"
            who = {"call_id": f"{agent.agent_id}-{agent.left}-{n}", "tool": TOOL, "args_hash": mark}
            more = {"status": "error", "error_type": "Unavailable"} if bad else {"status": "ok"}
            lines.append(agent.event("tool.request", now_us(), **who))
            lines.append(
                agent.event(
                    "tool.result", now_us(), **who, **more, result_hash=mark, duration_us=1000
                )
            )
        value, partition, headers = load.envelope(agent, lines)
        await producer.send_and_wait(wire.EVENTS, value, partition=partition, headers=headers)


async def lines(settings: Settings, topic: str, tag: bytes) -> list[bytes]:
    """Lines of one kind, all partitions."""
    return [
        line
        for number in range(TOPICS[topic].partitions)
        for record in await records(settings, topic, number)
        for line in codec.lines(record.value)
        if b'"type":"' + tag + b'"' in line
    ]


async def play(
    settings: Settings, keys: Keys, siblings: int, prefix: str
) -> tuple[list[Prior], list[Signal]]:
    """Siblings work, then a newcomer whose calls mostly fail; what it was told, and what was said of it."""
    names = [f"{prefix}-old-{n}" for n in range(siblings)] + [f"{prefix}-new"]
    fleet = load.agents(keys, len(names), seed=1)
    for agent, name in zip(fleet, names, strict=True):
        agent.agent_id, agent.credential = name, keys.credential(load.TENANT, name)
    files = [
        AgentFile(name, load.TENANT, owner=Owner(prefix), tools={TOOL: Tool()}) for name in names
    ]
    await publish(settings, keys, files)
    new = names[-1]

    async def priors() -> list[Prior]:
        found = [codec.fact(line) for line in await lines(settings, INBOX, b"prior")]
        return [one for one in found if isinstance(one, Prior) and one.agent_id == new]

    def told(name: str, calls: float) -> Callable[[], Awaitable[bool]]:
        async def answer() -> bool:
            found = [
                msgspec.json.decode(line, type=Learned)
                for line in await lines(settings, FLEET, b"learned")
            ]
            return any(one.agent_id == name and one.calls >= calls for one in found)

        return answer

    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        for agent in fleet[:-1]:
            await call(producer, agent, [n % 50 == 7 for n in range(CALLS)])
        for name in names[:-1]:
            await until(told(name, 30.0))
        await call(producer, fleet[-1], [False])  # it asks
        await until(told(new, 0.0))
        await asyncio.sleep(2.0)  # the answer took some 30 ms
        heard = await priors()
        await call(producer, fleet[-1], [n % 3 > 0 for n in range(12)])
        await until(lambda: seen(settings, new, 13))
    await asyncio.sleep(2.0)
    signals = [
        msgspec.json.decode(line, type=Signal) for line in await lines(settings, SIGNALS, b"signal")
    ]
    return heard, [
        one for one in signals if (one.agent_id, one.detector) == (new, "error_baseline")
    ]


async def seen(settings: Settings, agent_id: str, calls: int) -> bool:
    found = [codec.fact(line) for line in await lines(settings, INBOX, b"step")]
    ours = [one for one in found if isinstance(one, Step) and one.agent_id == agent_id]
    return len([one for one in ours if one.phase == "complete"]) >= calls


def test_a_prior_reaches_a_worker_and_changes_what_it_says(
    own_broker: Broker, tmp_path: Path
) -> None:
    """Eight of twelve calls fail: said of who has four siblings, not of who has two; replay agrees."""
    settings = Settings(bootstrap=own_broker.bootstrap, home=str(tmp_path))
    asyncio.run(provision(settings))
    keys = create(settings.keys_folder)
    processes = Processes(settings, tmp_path)

    async def main() -> None:
        processes.start("w1")
        processes.start("correlate", *CORRELATE)
        await until(lambda: owned(settings, (EVENTS, INBOX, FLEET)))
        heard, alone = await play(settings, keys, 2, "lonely")
        told, found = await play(settings, keys, SIBLINGS, "many")
        processes.stop()
        newest = {
            record.key: msgspec.json.decode(record.value, type=Baseline)
            for number in range(TOPICS[BASELINES].partitions)
            for record in await records(settings, BASELINES, number)
        }
        report = await verified(settings, keys)

        assert (heard, alone) == ([], [])
        assert told and told[0].failed is not None and told[0].failed.siblings == SIBLINGS
        assert found and (found[0].status, found[0].evidence["siblings"]) == ("cold", SIBLINGS)
        assert newest[f"{load.TENANT}/many/{TOOL}".encode()].failed is not None
        assert report.exit_code == replay.SAME, replay.words(report)
        assert report.compared["prior"] >= 1
        assert report.compared["learned"] >= SIBLINGS

    try:
        asyncio.run(main())
    finally:
        processes.stop()
