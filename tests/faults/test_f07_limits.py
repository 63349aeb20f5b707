"""F07: a stage that can read nothing stops, instead of setting aside a topic; and what it set aside is kept.

A worker goes on after its dead letters at the next start, since they are safe. A sink stands before what
it can't read, since nobody else keeps it.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ingest import codec, keys
from ingest.keys import Keys
from ingest.provision import provision
from ingest.records import DeadLetter, Signal
from ingest.settings import Settings
from ingest.topics import DLQ, INBOX, SIGNALS, TOPICS
from stream import dead_letters
from stream.dead_letters import ROW_MAX
from stream.sink import sink
from tests.pipe import TENANT, Told, envelope, trace_id
from tests.reading import read
from tests.sinking import client, sinking
from tests.workers import SINK, Processes
from tracefuse import wire

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

CARELESS = "tests.faults.careless_worker"
POISON = b'{"event_id":'
END_SECONDS = 60.0  # a start takes four
Headers = list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def held(settings: Settings) -> Keys:
    asyncio.run(provision(settings))
    return keys.create(settings.keys_folder)


@pytest.fixture
def workers(settings: Settings, held: Keys, tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(settings, tmp_path)
    yield processes
    processes.stop()


async def write(
    settings: Settings, topic: str, number: int, records: list[tuple[Headers, bytes]]
) -> int:
    """One partition's next records; returns the offset of the first."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
    async with producer:
        sent = [
            await producer.send(topic, value, partition=number, headers=headers)
            for headers, value in records
        ]
        return int((await asyncio.gather(*sent))[0].offset)


def events(
    held: Keys, number: int, *what: bytes, agents: int = 2
) -> tuple[int, list[tuple[Headers, bytes]]]:
    """The partition of a trace, and proven records of it: unreadable lines, or a call where empty.

    The agents take turns: rubbish of one alone would be its own fault.
    """
    told = Told(trace_id=trace_id(number))
    made = [
        envelope([line], agent_id=f"agent-{n % agents}", master=held.master)
        if line
        else envelope(told.call(n), master=held.master)
        for n, line in enumerate(what)
    ]
    partition = wire.partition_of(wire.trace_key(TENANT, told.trace_id))
    return partition, [(list(headers), value) for headers, value in made]


async def letters(settings: Settings, number: int, first: int) -> list[int]:
    """Where the dead letters of a partition of events are from, as written, repeats too."""
    found = [
        msgspec.json.decode(line, type=DeadLetter)
        for record in await read(settings.bootstrap, DLQ)
        for line in codec.lines(record.value)
    ]
    return [dead.offset for dead in found if dead.partition == number and dead.offset >= first]


async def steps(settings: Settings, number: int) -> int:
    """Steps of a trace that stand in the inbox."""
    said = trace_id(number).encode()
    return sum(record.value.count(said) > 0 for record in await read(settings.bootstrap, INBOX))


def ended(processes: Processes, name: str = "w1") -> int:
    """Exit code of a process that is to end by itself."""
    return processes.running.pop(name).wait(END_SECONDS)


def until_true(ask: Callable[[], bool], workers: Processes) -> None:
    """Wait for a condition, of a worker that must not end by itself meanwhile."""
    deadline = time.monotonic() + END_SECONDS
    while not ask():
        log = workers.log("w1")
        assert workers.running["w1"].poll() is None, f"it had ended by itself: {log}"
        assert time.monotonic() < deadline, f"not within {END_SECONDS} s: {log}"
        time.sleep(0.2)


def test_a_worker_that_can_read_nothing_stops(
    settings: Settings, held: Keys, workers: Processes
) -> None:
    """It ends with a word after 10 lines, and its next start goes on after them: all is kept, once."""
    lot = ROW_MAX + 3
    number, records = events(held, 1, *[POISON] * lot, b"")
    first = asyncio.run(write(settings, wire.EVENTS, number, records))
    last = first + ROW_MAX - 1
    place = f"{wire.EVENTS}/{number}"
    try:
        workers.start("w1")

        assert ended(workers) == os.EX_DATAERR
        assert f"10 lines in a row of {place} can't be read, up to offset {last}" in (
            workers.log("w1")
        )
        assert asyncio.run(letters(settings, number, first)) == [*range(first, last + 1)]
        workers.start("w1")
        until_true(lambda: asyncio.run(steps(settings, 1)) > 0, workers)
    finally:
        workers.stop()

    assert asyncio.run(letters(settings, number, first)) == [*range(first, first + lot)]


def test_one_agent_alone_stops_no_worker(
    settings: Settings, held: Keys, workers: Processes
) -> None:
    """What one agent writes is set aside line by line; the worker goes on for all the others."""
    lot = 5 * ROW_MAX
    number, records = events(held, 5, *[POISON] * lot, b"", agents=1)
    first = asyncio.run(write(settings, wire.EVENTS, number, records))
    try:
        workers.start("w1")
        until_true(lambda: asyncio.run(steps(settings, 5)) > 0, workers)
        workers.end("w1")  # by us, not by itself
    finally:
        workers.stop()

    assert asyncio.run(letters(settings, number, first)) == [*range(first, first + lot)]


def test_without_the_limit_it_sets_all_aside(
    settings: Settings, held: Keys, workers: Processes
) -> None:
    """The control: a worker that can read nothing empties the topic, and seems well."""
    lot = 500
    number, records = events(held, 2, *[POISON] * lot)
    first = asyncio.run(write(settings, wire.EVENTS, number, records))
    try:
        workers.start("w1", CARELESS, "limitless")
        until_true(lambda: len(asyncio.run(letters(settings, number, first))) == lot, workers)
    finally:
        workers.stop()  # in good order: the next worker must not read the lot again


async def letter_bytes(settings: Settings, most: int) -> None:
    """How large a record of the dead letters may be."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        config = TOPICS[DLQ].config() | {"max.message.bytes": str(most)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, DLQ, config)])
    finally:
        await admin.close()


def refused(settings: Settings, held: Keys, workers: Processes, trace: int, *module: str) -> bool:
    """The broker takes no dead letter at first; whether it is there once a later call has been read."""
    number, records = events(held, trace, POISON, b"")
    asyncio.run(letter_bytes(settings, 1))
    try:
        first = asyncio.run(write(settings, wire.EVENTS, number, records))
        workers.start("w1", *module)
        if module:
            until_true(lambda: asyncio.run(steps(settings, trace)) > 0, workers)
            workers.end("w1")
        else:
            assert ended(workers) == os.EX_SOFTWARE, workers.log("w1")
    finally:
        asyncio.run(letter_bytes(settings, 1 << 20))
    later = next(n for n in range(trace + 100, trace + 200) if events(held, n)[0] == number)
    asyncio.run(write(settings, wire.EVENTS, *events(held, later, b"")))
    try:
        workers.start("w1")
        until_true(lambda: asyncio.run(steps(settings, later)) > 0, workers)
    finally:
        workers.stop()
    return first in asyncio.run(letters(settings, number, first))


def test_a_dead_letter_that_is_refused_is_not_passed_over(
    settings: Settings, held: Keys, workers: Processes
) -> None:
    """The worker ends, and reads the line again until its letter is acknowledged."""
    assert refused(settings, held, workers, 3)


def test_whoever_does_not_wait_for_it_loses_it(
    settings: Settings, held: Keys, workers: Processes
) -> None:
    """The control: the position moves past a line that nobody has kept."""
    assert not refused(settings, held, workers, 4, CARELESS, "unconfirmed")


# -- the sink -----------------------------------------------------------------------------------------


def signals(*values: bytes) -> list[tuple[Headers, bytes]]:
    return [([(wire.KIND, codec.SIGNALS)], value) for value in values]


def signal(name: str) -> bytes:
    return codec.encode(Signal(
        signal_id=name, tenant=TENANT, agent_id="a", detector="exact_loop", evidence_class="rule",
        severity="high", action="open", sentence="", at=0.0,
    ))  # fmt: skip


def stored(settings: Settings) -> set[str]:
    with client(settings) as db:
        return {name for (name,) in db.query("SELECT signal_id FROM signals").result_rows}


async def sunk(settings: Settings, held: Keys, name: str) -> None:
    """Run a sink until a signal is stored, or until it ends by itself."""
    async with sinking(settings, held) as task:
        while name not in await asyncio.to_thread(stored, settings):
            done, _ = await asyncio.wait([task], timeout=0.1)
            if done:
                await task


async def passed_over(settings: Settings, number: int, offset: int) -> None:
    """What the operator does with records that no version can read: delete up to an offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(SIGNALS, number): RecordsToDelete(offset)})
    finally:
        await admin.close()


def test_a_sink_that_can_read_nothing_stands(
    settings: Settings, held: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every start, before the same lines; what stands before them is safe, what follows waits."""
    monkeypatch.setenv("TRACEFUSE_INSTANCE", "sink")  # who comes back as itself need not wait
    asyncio.run(write(settings, SIGNALS, 0, signals(signal("before"))))
    asyncio.run(sunk(settings, held, "before"))
    poison = [b'{"signal_id":3}'] * ROW_MAX
    first = asyncio.run(write(settings, SIGNALS, 0, signals(*poison, signal("after"))))
    last, sinks = first + ROW_MAX - 1, Processes(settings, tmp_path, SINK)
    for _ in range(2):
        sinks.start("sink")
        assert ended(sinks, "sink") == os.EX_DATAERR
        said = f"10 lines in a row of {SIGNALS}/0 can't be read, up to offset {last};"
        assert said in sinks.log("sink")
    assert "after" not in stored(settings)

    asyncio.run(passed_over(settings, 0, last + 1))
    asyncio.run(sunk(settings, held, "after"))

    assert {"before", "after"} <= stored(settings)


def test_without_the_limit_a_sink_passes_them_over(
    settings: Settings, held: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: results are gone from the record, and the sink seems well."""
    monkeypatch.setattr(dead_letters, "ROW_MAX", 1 << 30)
    monkeypatch.setattr(sink, "GROUP", "limitless")
    poison = [b'{"signal_id":3}'] * 5 * ROW_MAX
    asyncio.run(write(settings, SIGNALS, 1, signals(*poison, signal("last"))))
    asyncio.run(sunk(settings, held, "last"))

    assert "last" in stored(settings)
