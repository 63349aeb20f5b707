"""F15: the disk of the broker is full, or that of the store. Each says so, and nothing accepted is lost.

The agent's own disk is the matter of its spool's tests. Here a tmpfs is filled to its last byte while
events flow. The broker ends then, and its supervisor brings it back once there is room; the store stays.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import clickhouse_connect
import pytest

import tracefuse
from ingest import keys
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from sql.migrate import migrate
from sql.server import Store
from stream.sink import sink
from tests.reading import lines, read
from tests.sinking import BATCH, COUNTS, batch, client, send, stored, through, until
from tests.small_disk import SmallDisk, small_disk
from tests.workers import SINK, Processes
from tracefuse import wire
from tracefuse.events import Event

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

RATE = 1000  # events a second, of each agent
BLOCKED_SECONDS = (
    1.0  # a call takes microseconds; an agent that waits for the disk waits for seconds
)
BROKER_MIB, STORE_MIB = 64, 96
FULL = "No space left on device"
NAIVE = ("tests.faults.naive_sink",)


# -- the broker's -------------------------------------------------------------------------------------


class Agent(NamedTuple):
    """What an agent did, and what Kafka holds of it."""

    stats: dict[str, object]
    longest: float  # s, the slowest of its calls
    found: list[tuple[int, Event]]  # by partition, in order


class Played(NamedTuple):
    """What the broker said when its disk was full, and how everybody fared."""

    said: str
    spooling: Agent
    careless: Agent  # nothing to wait in but a little memory
    sink_lived: bool
    stored: tuple[int, int, int]


def emit(fuses: list[tracefuse.Fuse], longest: list[float], enough: Callable[[], bool]) -> None:
    """One run of each agent, at a steady rate until it is enough."""
    with ExitStack() as stack:
        runs = [stack.enter_context(fuse.trace(task="disk")) for fuse in fuses]
        began, sent = time.monotonic(), 0
        while not enough():
            while sent < (time.monotonic() - began) * RATE:
                for n, run in enumerate(runs):
                    start = time.monotonic()
                    run.thought("The order is 12 days old, so a refund is due.")
                    longest[n] = max(longest[n], time.monotonic() - start)
                sent += 1
            time.sleep(0.005)


def later(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def outage(broker: Broker, disk: SmallDisk, fuses: list[tracefuse.Fuse]) -> tuple[str, list[float]]:
    """Fill, wait until the broker has ended by itself, go on without it, bring it back."""
    longest = [0.0] * len(fuses)
    emit(fuses, longest, later(2.0))
    disk.fill()
    patience = later(30.0)
    emit(fuses, longest, lambda: not broker.running or patience())
    assert not broker.running, "it goes on with a full disk: what does it acknowledge?"
    emit(fuses, longest, later(3.0))
    said = (broker.data_dir / "broker.log").read_text("utf-8", "replace")
    disk.clear()
    broker.start()
    emit(fuses, longest, later(1.0))
    for fuse in fuses:
        fuse.close(timeout=60.0)
    return said, longest


@pytest.fixture(scope="module")
def played(
    store: Store, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("disk")
    held = keys.create(folder / "keys")
    with small_disk(folder / "broker" / "log", BROKER_MIB) as disk, ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        settings = Settings(
            home=str(folder), bootstrap=broker.bootstrap, clickhouse_database=database,
            clickhouse=f"{store.host}:{store.port}",
        )  # fmt: skip
        asyncio.run(provision(settings))
        sinks = Processes(settings, folder, SINK)
        stack.callback(sinks.stop)
        sinks.start("sink")
        spooling = tracefuse.init(
            bootstrap=broker.bootstrap, credential=held.credential("acme", "spooling"),
            spool=folder / "spool",
        )  # fmt: skip
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("tracefuse.fuse.MEMORY_BYTES", 100_000)  # of the one without a spool
        careless = tracefuse.init(
            bootstrap=broker.bootstrap, credential=held.credential("acme", "careless")
        )
        emit([spooling, careless], [0.0, 0.0], later(0.5))
        # A sink that loses the broker while it asks for its positions asks again after 40 s only.
        asyncio.run(until(lambda: stored(settings)[2] > 0))
        said, longest = outage(broker, disk, [spooling, careless])
        found = lines(asyncio.run(read(broker.bootstrap, wire.EVENTS)))
        asyncio.run(until(lambda: stored(settings)[2] >= len(found)))

        def told(n: int, fuse: tracefuse.Fuse, name: str) -> Agent:
            own = [one for one in found if one[1].agent_id == name]
            return Agent(fuse.stats(), longest[n], own)

        yield Played(
            said, told(0, spooling, "spooling"), told(1, careless, "careless"),
            sinks.running["sink"].poll() is None, stored(settings),
        )  # fmt: skip


def test_a_full_broker_loses_nothing_and_blocks_nobody(played: Played) -> None:
    """What the agent emitted meanwhile waited on its own disk: all is there, once, in order."""
    stats, longest, found = played.spooling
    in_order: dict[int, list[int]] = {}
    for partition, event in found:
        in_order.setdefault(partition, []).append(event.seq)

    assert FULL in played.said
    assert stats["dropped"] == {}
    assert isinstance(stats["spooled"], int) and stats["spooled"] > 0
    assert sorted(event.seq for _, event in found) == [*range(1, stats["emitted"] + 1)]  # type: ignore[operator]
    assert all(a < b for own in in_order.values() for a, b in pairwise(own))
    assert longest < BLOCKED_SECONDS


def test_the_sink_waits_for_a_full_broker(played: Played) -> None:
    """The same process stores the rest once the broker is back: every line that Kafka holds, once."""
    everything = len(played.spooling.found) + len(played.careless.found)

    assert played.sink_lived
    assert played.stored == (everything, everything, everything)


def test_without_a_spool_a_full_broker_costs_events(played: Played) -> None:
    """The control, in the same outage: what does not fit into memory is gone, and counted."""
    stats, _, found = played.careless
    dropped = stats["dropped"]
    assert isinstance(dropped, dict) and isinstance(stats["emitted"], int)

    assert dropped.get("spool_full", 0) > 0
    assert len(found) == stats["emitted"] - sum(dropped.values())


# -- the store's --------------------------------------------------------------------------------------


@pytest.fixture
def hurt(
    own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Settings, Keys, SmallDisk]]:
    """A pipeline whose store has a small disk."""
    monkeypatch.setattr(sink, "GROUP", f"sink-{tmp_path.name}")
    monkeypatch.setattr(sink, "RETRY_SECONDS_MAX", 0.5)  # 5 in earnest: a test need not wait
    with small_disk(tmp_path / "store", STORE_MIB) as disk, Store(tmp_path / "store") as store:
        with clickhouse_connect.get_client(host=store.host, port=store.port) as connected:
            migrate(connected)
        settings = Settings(home=str(tmp_path), bootstrap=own_broker.bootstrap)
        settings = replace(settings, clickhouse=f"{store.host}:{store.port}")
        asyncio.run(provision(settings))
        yield settings, keys.create(tmp_path / "keys"), disk


def test_a_full_store_is_waited_for(
    hurt: tuple[Settings, Keys, SmallDisk], caplog: pytest.LogCaptureFixture
) -> None:
    """The sink keeps its place, commits nothing, says why, and stores the rest once there is room."""
    settings, held, disk = hurt
    asyncio.run(through((settings, held), 1, disk.fill, disk.clear))
    refusals = [one.getMessage() for one in caplog.records if "failed, again" in one.getMessage()]

    assert any(FULL in one or "NOT_ENOUGH_SPACE" in one for one in refusals), refusals[:3]


async def naively(
    settings: Settings, held: Keys, disk: SmallDisk, folder: Path
) -> tuple[int | None, int]:
    """The naive sink before, in and after the outage; how it ended, and how many events are stored."""
    sinks = Processes(settings, folder, NAIVE)
    with client(settings) as db:

        def events() -> int:
            return int(db.query(COUNTS).result_rows[0][2])

        try:
            sinks.start("sink")
            await send(settings, held, batch(1))
            await until(lambda: events() == BATCH)
            await asyncio.to_thread(disk.fill)
            await send(settings, held, batch(2))
            await until(lambda: sinks.running["sink"].poll() is not None)
            ended = sinks.running["sink"].returncode
            await asyncio.to_thread(disk.clear)
            sinks.start("sink")
            await send(settings, held, batch(3))
            await until(lambda: events() >= 2 * BATCH)
            await asyncio.sleep(2.0)  # whatever was to come has come
        finally:
            sinks.stop()
        return ended, events()


def test_a_naive_sink_loses_what_did_not_fit(
    hurt: tuple[Settings, Keys, SmallDisk], tmp_path: Path
) -> None:
    """The control: with Kafka's commits the position moves past rows that nobody has stored."""
    settings, held, disk = hurt
    ended, events = asyncio.run(naively(settings, held, disk, tmp_path))

    assert ended not in (None, 0)
    assert events < 3 * BATCH
