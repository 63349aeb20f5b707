"""The sink between a real broker and a real store: everything arrives, once, and where it belongs."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from clickhouse_connect.driver.client import Client

from ingest import codec, keys
from ingest.keys import Keys
from ingest.provision import provision
from ingest.records import (
    Acknowledged,
    DeadLetter,
    Incident,
    InForce,
    Run,
    Sampled,
    Signal,
    Step,
)
from ingest.settings import Settings
from ingest.topics import (
    APPROVALS,
    CONTROL_LOG,
    DLQ,
    EVENTS,
    INBOX,
    INCIDENTS,
    QUARANTINE,
    SIGNALS,
    VERDICTS,
)
from stream.sink.columns import Block
from stream.sink.rows import Row
from stream.sink.sink import GROUP
from stream.sink.tables import Tables
from tests.pipe import AGENT, TENANT, TRACE, Told
from tests.sinking import COUNTS, client, send, sinking, told, until
from tracefuse import control, verdicts, wire
from tracefuse.control import Command, Reason
from tracefuse.errors import ConfigError
from tracefuse.events import Event, encode
from tracefuse.verdicts import Verdict

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

SRC = (INBOX, 0, 5, 0, 0)


@pytest.fixture(scope="module")
def held(settings: Settings) -> Keys:
    asyncio.run(provision(settings))
    return keys.create(settings.keys_folder)


@pytest.fixture(scope="module")
def db(settings: Settings) -> Iterator[Client]:
    with client(settings) as connected:
        yield connected


def count(db: Client, where: str = "1", table: str = "events") -> int:
    """How many rows; `where` is a text of this file."""
    found = db.query("SELECT count() FROM {t:Identifier} WHERE " + where, {"t": table})
    return int(found.result_rows[0][0])


def sealed(keys: Keys, verdict: Verdict) -> bytes:
    """The line of a verdict, as its agent would believe it."""
    own = keys.credential(verdict.tenant, verdict.agent_id)
    return verdicts.seal(verdict.boot_id, verdicts.encode(verdict), own.kid, own.envelope_key)


async def put(settings: Settings, topic: str, kind: bytes, value: bytes) -> None:
    """One record of the pipeline's own."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
    async with producer:
        await producer.send_and_wait(topic, value, partition=0, headers=[(wire.KIND, kind)])


def test_events_arrive_once_over_a_restart(settings: Settings, held: Keys, db: Client) -> None:
    """Two sinks after each other: the second goes on where ClickHouse stands."""

    async def play() -> None:
        async with sinking(settings, held) as task:
            await send(settings, held, [told(n, 20) for n in range(100)])
            await until(lambda: count(db) >= 2000, 60, task)
        await send(settings, held, [told(n, 20, first=20) for n in range(100)])
        async with sinking(settings, held) as task:
            await until(lambda: count(db) >= 4000, 60, task)
            await asyncio.sleep(1.0)

    asyncio.run(play())

    assert db.query(COUNTS).result_rows == [(4000, 4000, 4000)]


def test_rows_are_there_within_a_second(settings: Settings, held: Keys, db: Client) -> None:
    """From the broker's time of a record to its row; three on a busy machine."""

    async def play() -> float:
        async with sinking(settings, held) as task:
            await send(settings, held, [told(500, 1)])
            await until(lambda: count(db, "boot_id = 'b500'") == 1, 60, task)
            begun = time.monotonic()
            await send(settings, held, [told(501, 1)])
            await until(lambda: count(db, "boot_id = 'b501'") == 1, 60, task)
            return time.monotonic() - begun

    assert asyncio.run(play()) < 3.0


def test_kafkas_commits_decide_nothing(settings: Settings, held: Keys, db: Client) -> None:
    """A committed offset at the end of the log loses nothing: ClickHouse tells the position."""

    async def play() -> None:
        sent = told(600, 30)
        async with sinking(settings, held) as task:
            await send(settings, held, [sent[:10]])
            await until(lambda: count(db, "boot_id = 'b600'") == 10, 60, task)
        await send(settings, held, [sent[10:20], sent[20:]])
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=GROUP)
        consumer.assign([TopicPartition(EVENTS, n) for n in range(8)])
        async with consumer:
            await consumer.commit(await consumer.end_offsets(list(consumer.assignment())))
        async with sinking(settings, held) as task:
            await until(lambda: count(db, "boot_id = 'b600'") == 30, 60, task)

    asyncio.run(play())


def test_two_sinks_share_and_hand_over(settings: Settings, held: Keys, db: Client) -> None:
    """A second sink joins and leaves in the middle of a stream: nothing lost, nothing twice."""

    async def feed() -> None:
        for n in range(60):
            await send(settings, held, [told(71_000 + n, 10) for _ in range(2)])
            await asyncio.sleep(0.05)

    async def play() -> None:
        async with sinking(settings, held) as first:
            feeding = asyncio.create_task(feed())
            await asyncio.sleep(1.0)
            async with sinking(settings, held):
                await asyncio.sleep(3.0)
            await feeding
            where = "startsWith(boot_id, 'b710')"
            await until(lambda: count(db, where) >= 1200, 60, first)
            await asyncio.sleep(1.0)

    asyncio.run(play())

    rows, places, _ = db.query(COUNTS).result_rows[0]
    assert count(db, "startsWith(boot_id, 'b710')") == 1200
    assert rows == places


def test_a_spooled_event_that_arrived_is_not_stored_again(
    settings: Settings, held: Keys, db: Client
) -> None:
    """Its first sending was stored though the agent never heard so; the others are new."""

    async def play() -> None:
        sent = told(800, 3)
        async with sinking(settings, held) as task:
            await send(settings, held, [sent[:2]])
            await until(lambda: count(db, "boot_id = 'b800'") == 2, 60, task)
        async with sinking(settings, held) as task:  # this one remembers no ids
            await send(settings, held, [sent], spooled=True)
            await until(lambda: count(db, "boot_id = 'b800' AND spooled") == 1, 60, task)
            await asyncio.sleep(1.0)

    asyncio.run(play())

    assert count(db, "boot_id = 'b800'") == 3


def test_without_the_look_up_it_would_be_stored_twice(
    settings: Settings, held: Keys, db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: nothing else keeps an event from a second row after a restart."""
    monkeypatch.setattr(Tables, "known", lambda *_: set())

    async def play() -> None:
        sent = told(810, 2)
        for spooled in (False, True):
            async with sinking(settings, held) as task:
                await send(settings, held, [sent], spooled=spooled)
                where = f"boot_id = 'b810' AND spooled = {spooled}"
                await until(partial(count, db, where), 60, task)

    asyncio.run(play())

    assert count(db, "boot_id = 'b810'") == 4
    db.command("DELETE FROM events WHERE boot_id = 'b810'")


def test_every_topic_has_its_table(settings: Settings, held: Keys, db: Client) -> None:
    """Steps, findings, commands, acknowledgements, incidents, verdicts, approvals, dead letters."""
    who: dict[str, Any] = {"tenant": TENANT, "agent_id": AGENT, "src": SRC}
    step = Step(
        step_id="s1", phase="request", trace_id=TRACE, span_id="b" * 16, action="tool", **who
    )
    run = Run(trace_id=TRACE, phase="end", event_id="e", emitted_at=1, **who)
    signal = Signal(
        signal_id="sig", detector="d", evidence_class="rule", severity="high", action="open",
        sentence="s", at=1.0, **who,
    )  # fmt: skip
    ack = Acknowledged(cmd_id="c1", scope="agent:a/b", event_id="e", applied_at=1, at=1.0, **who)
    incident = Incident(
        incident_id="i", severity="high", title="t", sentence="s", detector="d", action="open",
        signal_id="sig", opened_at=1.0, **who,
    )  # fmt: skip
    command = Command(
        cmd_id="c1", scope="agent:acme/refunds", author="auto", action="open", state="open",
        epoch=1, reason=Reason(rule="r"), src=SRC,
    )  # fmt: skip
    letter = DeadLetter(
        topic=EVENTS, partition=0, offset=0, line=0, reason="malformed", sha256="0", raw=b"\xff"
    )
    in_force = InForce(
        version=3, digest="d", kid="registry/1", sig=b"\1", payload=b"{}", at=1.0, **who
    )
    verdict = Verdict(call_id="c", attempt=1, trace_id=TRACE, boot_id="b", word="deny", **who)
    sampled = Sampled(trace_id=TRACE, call_id="c", tool="t", at=1.0, **who)
    inbox = codec.envelope([codec.encode(run), codec.encode(step)])

    async def play() -> None:
        await put(settings, INBOX, codec.INBOX, inbox)
        await put(settings, INBOX, codec.INBOX, inbox)  # a worker's repeat after a crash
        await put(settings, INBOX, codec.TICK, b"{}")
        await put(settings, SIGNALS, codec.SIGNALS, codec.encode(signal))
        await put(settings, CONTROL_LOG, codec.COMMANDS, control.encode(command))
        await put(settings, CONTROL_LOG, codec.ACKS, codec.encode(ack))
        await put(settings, CONTROL_LOG, codec.FILES, codec.encode(in_force))
        await put(settings, INCIDENTS, codec.INCIDENTS, codec.encode(incident))
        await put(settings, APPROVALS, codec.APPROVALS, codec.encode(sampled))
        line = sealed(held, verdict)
        await put(settings, VERDICTS, codec.VERDICTS, line)
        await put(settings, DLQ, codec.DEAD, codec.encode(letter))
        await put(settings, QUARANTINE, codec.DEAD, codec.encode(letter))
        future = Told(boot_id="future")("thought", schema_version="2.0")
        await send(settings, held, [[future]])
        async with sinking(settings, held) as task:
            await until(lambda: count(db, table="dead_letters") == 2, 60, task)
            for table in ("steps", "signals", "incidents", "verdicts", "approvals", "events_raw"):
                await until(partial(count, db, table=table), 60, task)
            await until(lambda: count(db, table="control_log") == 2, 60, task)
            await until(lambda: count(db, table="agent_files") == 1, 60, task)
        async with sinking(settings, held) as task:  # its marks come from ClickHouse
            await put(settings, INBOX, codec.INBOX, inbox)
            newer = Step(
                step_id="s2", phase="request", trace_id=TRACE, span_id="b" * 16, action="tool",
                tenant=TENANT, agent_id=AGENT, src=(INBOX, 0, 6, 0, 0),
            )  # fmt: skip
            await put(settings, INBOX, codec.INBOX, codec.encode(newer))
            await until(lambda: count(db, "step_id = 's2'", "steps") == 1, 60, task)

    asyncio.run(play())

    assert count(db, table="steps") == 2
    assert db.query("SELECT DISTINCT raw_base64 FROM dead_letters").result_rows == [("/w==",)]
    assert db.query("SELECT version, raw FROM agent_files").result_rows == [(3, "{}")]
    assert db.query("SELECT record FROM control_log ORDER BY _offset").result_rows == [
        ("command",), ("ack",),
    ]  # fmt: skip


# -- the store as the sink relies on it ---------------------------------------------------------------


def block(boot_id: str, rows: int) -> Block:
    agent = Told(boot_id=boot_id)
    found = Block("events", EVENTS, 7)
    for offset in range(rows):
        event: Event = agent("thought", attrs={"text": "x" * 1000})
        found.add(Row("events", event, encode(event), 0), offset, int(time.time() * 1000))
    return found


def test_one_token_is_one_block_in_one_part(settings: Settings, db: Client) -> None:
    """Also a large one: 25,600 rows, 30 MB, several blocks on the wire."""
    tables = Tables(settings)
    large = block("token", 25_600)
    for _ in range(2):
        tables.insert(large, "events:token-1")
    tables.insert(large, "events:token-2")
    tables.close()

    assert count(db, "boot_id = 'token'") == 2 * 25_600
    parts = db.query("SELECT uniqExact(_part) FROM events WHERE boot_id = 'token'").result_rows
    assert parts[0][0] <= 2


class Values(list[Any]):
    """A column of which one can tell whether it still exists."""


def test_nothing_keeps_what_was_inserted(settings: Settings, db: Client) -> None:
    """Not the driver either, until Python looks for cycles: that is seldom, and columns are large."""
    tables = Tables(settings)
    gone = block("gone", 10)
    tables.insert(block("before", 1), "events:before")
    gone.columns()["event_id"] = Values(gone.columns()["event_id"])
    column = weakref.ref(gone.columns()["event_id"])
    gc.disable()
    try:
        tables.insert(gone, "events:gone")
        del gone
        assert column() is None
    finally:
        gc.enable()
        tables.close()
    assert count(db, "boot_id = 'gone'") == 10


def test_json_parts_are_read_from_the_line(settings: Settings, db: Client) -> None:
    """What costs nothing to insert can still be asked for, typed; whole numbers lose their `.0`."""
    event = Told(boot_id="json")(
        "thought", attrs={"a": [1, {"b": "\u00e9"}]}, decision_args={"amount": 25.0},
        fingerprints=[["00ff", "url", "$.a", 3, 9]], control_seen={"agent:a/b": (7, 2)},
    )  # fmt: skip
    found = Block("events", EVENTS, 6)
    found.add(Row("events", event, encode(event), 0), 0, int(time.time() * 1000))
    tables = Tables(settings)
    tables.insert(found, "events:json-1")
    tables.close()
    (row,) = db.query(
        "SELECT attrs, decision_args, control_seen, fingerprints.hash, fingerprints.start"
        " FROM events WHERE boot_id = 'json'"
    ).result_rows

    assert row == (
        '{"a":[1,{"b":"\u00e9"}]}', '{"amount":25}', '{"agent:a/b":[7,2]}', ["00ff"], [3],
    )  # fmt: skip


def test_another_schema_is_refused_at_start(settings: Settings, db: Client) -> None:
    """A forgotten migration is told to the operator, not met row by row."""
    db.command("ALTER TABLE signals ADD COLUMN stray String")
    try:
        with pytest.raises(ConfigError, match="table signals"):
            Tables(settings).stored(EVENTS, [0])
    finally:
        db.command("ALTER TABLE signals DROP COLUMN stray")
