"""Events sent as agents would, and what ClickHouse then holds: what tests of the sink share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import clickhouse_connect
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from clickhouse_connect.driver.client import Client

from ingest.keys import Keys
from ingest.settings import Settings
from ingest.topics import EVENTS, PARTITIONS
from stream.sink import sink
from tests.pipe import TENANT, Told, envelope, trace_id
from tracefuse import wire
from tracefuse.events import Event

PATIENCE_SECONDS = 60.0  # a busy machine; a test that holds takes two
TRACES, LINES = 40, 10
BATCH = TRACES * LINES  # events of one batch
# O2: every line once, every event once.
COUNTS = (
    "SELECT count(), uniqExact(_topic, _partition, _offset, _idx), uniqExact(event_id) FROM events"
)


def client(settings: Settings) -> Client:
    host, _, port = settings.clickhouse.rpartition(":")
    return clickhouse_connect.get_client(
        host=host, port=int(port), database=settings.clickhouse_database, query_limit=0,
        autogenerate_session_id=False,
    )  # fmt: skip


def told(number: int, events: int, first: int = 0) -> list[Event]:
    """Events of one trace of its own; `seq` rises by one."""
    agent = Told(trace_id=trace_id(number), boot_id=f"b{number}")
    agent.seq = first
    return [agent("thought") for _ in range(events)]


async def send(
    settings: Settings, keys: Keys, envelopes: Iterable[list[Event]], spooled: bool = False
) -> None:
    """One record for each list of events of one trace; returns when the broker has all."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        waiting = []
        for events in envelopes:
            headers, value = envelope(events, master=keys.master, spooled=spooled)
            number = wire.partition_of(wire.trace_key(TENANT, events[0].trace_id))
            waiting.append(
                await producer.send(wire.EVENTS, value, partition=number, headers=list(headers))
            )
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


@asynccontextmanager
async def sinking(settings: Settings, keys: Keys) -> AsyncIterator[asyncio.Task[None]]:
    """A sink in this process; ends in order."""
    task = asyncio.create_task(sink.run(settings, keys))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(
    condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, *tasks: asyncio.Task[None]
) -> None:
    """Wait for a condition, which may block."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        assert not any(task.done() for task in tasks), "it ended by itself"
        await asyncio.sleep(0.05)


# -- an outage of the store ---------------------------------------------------------------------------


def stored(settings: Settings) -> tuple[int, int, int]:
    """Rows, places, events."""
    with client(settings) as db:
        rows, places, events = db.query(COUNTS).result_rows[0]
    return rows, places, events


def batch(number: int) -> list[list[Event]]:
    """Envelopes of as many traces, of their own for each number."""
    return [told(number * 1000 + n, LINES) for n in range(TRACES)]


async def committed(settings: Settings, group: str) -> list[int | None]:
    """What the group has committed, by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, group_id=group, enable_auto_commit=False
    )
    async with consumer:
        return [await consumer.committed(TopicPartition(EVENTS, n)) for n in range(PARTITIONS)]


async def ends(settings: Settings) -> int:
    """Events of all tests on this broker so far: records of `LINES` each."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    async with consumer:
        found = await consumer.end_offsets([TopicPartition(EVENTS, n) for n in range(PARTITIONS)])
    return int(sum(found.values())) * LINES


async def through(
    stack: tuple[Settings, Keys], number: int, hurt: Callable[[], Any], heal: Callable[[], Any]
) -> None:
    """Store, hurt, send more, wait, heal; everything is there at the end, once."""
    settings, held = stack
    async with sinking(settings, held) as task:
        await send(settings, held, batch(number))
        total = await ends(settings)
        await until(lambda: stored(settings)[2] == total, 60, task)
        await asyncio.sleep(sink.COMMIT_SECONDS + 0.5)
        before = await committed(settings, sink.GROUP)
        await asyncio.to_thread(hurt)
        await send(settings, held, batch(number + 1))
        await asyncio.sleep(sink.SESSION_MS / 1000 + 1)  # whoever stopped polling were out by now
        assert not task.done()
        assert await committed(settings, sink.GROUP) == before
        await asyncio.to_thread(heal)
        total += BATCH
        await until(lambda: stored(settings)[2] == total, 60, task)
        await asyncio.sleep(1.0)
    assert stored(settings) == (total, total, total)
