"""Agents' files on a real broker: in force within two seconds, without a restart; a forged one alarms."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from dashboards import cli
from ingest import codec
from ingest.agent_file import AgentFile
from ingest.keys import Keys, create
from ingest.reading import reader
from ingest.records import Registered, Signal
from ingest.settings import Settings
from ingest.topics import CONTROL, EVENTS, INBOX, PARTITIONS, REGISTRY, SIGNALS
from stream.detect.registering import sealed
from stream.people.registration import in_force, publish
from stream.replay import replay
from tests.pipe import AGENT, TENANT, Told, envelope, file, trace_id
from tests.workers import Processes, verified
from tracefuse import wire
from tracefuse.control import control_key, run_scope
from tracefuse.errors import ConfigError

pytestmark = pytest.mark.kafka

Stack = tuple[Settings, Keys]
START_SECONDS = 60.0  # of a worker, on a busy machine
IN_FORCE_SECONDS = 2.0  # promised; usual are 0.2


def capped(version: int, usd: float) -> AgentFile:
    return file(version=version, owner={"name": "Payments"}, budgets={"run_usd": usd})


async def records(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    """All records of a topic: key and value."""
    found = []
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    async with reader(settings.bootstrap) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=50)).values():
                found += [(record.key or b"", record.value or b"") for record in batch]
    return found


async def until(ask: Callable[[], Awaitable[bool]], began: float, seconds: float) -> float:
    """Seconds after `began` at which the answer was yes."""
    while not await ask():
        assert time.monotonic() < began + seconds, f"not within {seconds} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


class Desk:
    """One agent that spends 5 cents a run, and what the workers make of it."""

    def __init__(self, settings: Settings, keys: Keys, producer: AIOKafkaProducer):
        self.settings, self.keys, self.producer = settings, keys, producer
        self.runs = 0

    async def spend(self) -> str:
        """One run with one call; its id."""
        self.runs += 1
        run = trace_id(self.runs)
        told = Told(trace_id=run, boot_id=f"b{self.runs}")
        headers, value = envelope(told.call(1, cost_usd=0.05), master=self.keys.master)
        place = wire.partition_of(wire.trace_key(TENANT, run))
        await self.producer.send_and_wait(EVENTS, value, partition=place, headers=headers)
        return run

    async def stopped(self, run: str) -> bool:
        key = control_key(run_scope(TENANT, AGENT, run), "auto").encode()
        return any(name == key and value for name, value in await records(self.settings, CONTROL))

    async def alarms(self) -> list[Signal]:
        found = [
            msgspec.json.decode(line, type=Signal)
            for _, value in await records(self.settings, SIGNALS)
            for line in codec.lines(value)
        ]
        return [signal for signal in found if signal.detector == "registry"]

    async def tell(self, fact: Registered) -> None:
        """Into the inbox, past the command line."""
        place = wire.partition_of(wire.agent_key(TENANT, AGENT))
        headers = [(wire.KIND, codec.INBOX)]
        await self.producer.send_and_wait(
            INBOX, codec.encode(fact), partition=place, headers=headers
        )


def test_a_version_is_in_force_within_two_seconds(stack: Stack, tmp_path: Path) -> None:
    """The next run is judged by it, by the same process; a stranger's version alarms and rules nobody."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)
    stranger = create(tmp_path / "stranger").signer("registry")

    async def play(desk: Desk) -> None:
        assert await publish(settings, keys, [capped(1, 0.01)]) == 1
        run = await desk.spend()
        await until(lambda: desk.stopped(run), time.monotonic(), START_SECONDS)

        await publish(settings, keys, [capped(2, 1.0)])
        free = await desk.spend()
        began = time.monotonic()
        await publish(settings, keys, [capped(3, 0.02)])
        run = await desk.spend()
        assert await until(lambda: desk.stopped(run), began, IN_FORCE_SECONDS) < IN_FORCE_SECONDS
        assert not await desk.stopped(free)  # of the same partition, and before it
        assert await desk.alarms() == []

        began = time.monotonic()
        await desk.tell(sealed(capped(9, 100.0), stranger))

        async def alarmed() -> bool:
            return bool(await desk.alarms())

        await until(alarmed, began, IN_FORCE_SECONDS)
        [alarm] = await desk.alarms()
        assert (alarm.severity, alarm.agent_id) == ("high", AGENT)
        assert "not signed by a registry key" in alarm.sentence
        run = await desk.spend()
        await until(lambda: desk.stopped(run), time.monotonic(), START_SECONDS)

    async def main() -> None:
        processes.start("w1")
        pid = processes.running["w1"].pid
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            await play(Desk(settings, keys, producer))
            assert processes.running["w1"].poll() is None
            assert processes.running["w1"].pid == pid
        finally:
            await producer.stop()
            processes.stop()
        report = await verified(settings, keys)
        assert report.exit_code == replay.SAME, report

    asyncio.run(main())


def test_only_what_is_signed_and_new_is_published(stack: Stack, tmp_path: Path) -> None:
    """Twice is once, a lower version is refused before anything is sent, a forged record is nobody's."""
    settings, keys = stack
    other = file("other")
    stranger = create(tmp_path / "stranger")

    async def main() -> None:
        assert await publish(settings, keys, [capped(5, 1.0), other]) == 2
        assert await publish(settings, keys, [capped(5, 1.0), other]) == 0
        with pytest.raises(ConfigError, match="version 4 is lower than version 5"):
            await publish(settings, keys, [file("new"), capped(4, 1.0)])
        await publish(settings, stranger, [capped(9, 100.0)])
        known = await in_force(settings, keys)

        assert known == {f"{TENANT}/{AGENT}": capped(5, 1.0), f"{TENANT}/other": other}
        assert len(await records(settings, REGISTRY)) == 3

    asyncio.run(main())


def test_the_command_line_publishes_and_shows(
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From a folder into force; then the same text comes back, and nothing would change."""
    settings, _ = stack
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "refunds.toml").write_text('agent = "refunds"\ntenant = "acme"\nautonomy = 3\n')

    def told(*words: str) -> tuple[int, str]:
        code = cli.main(["registry", *words])
        return code, capsys.readouterr().out

    assert told("show", "acme/refunds") == (1, "no file of acme/refunds is in force\n")
    assert "acts without holding" in told("diff", str(folder))[1]
    assert "signed and published 1 of 1" in told("publish", str(folder))[1]
    assert told("diff", str(folder)) == (0, "nothing would change\n")
    assert told("show", "acme/refunds") == (0, 'agent = "refunds"\ntenant = "acme"\nautonomy = 3\n')
