"""What is new of a partition, and what goes into one insert."""

from ingest import codec
from ingest.records import NO_SRC, Acknowledged, Src, Step
from ingest.topics import CONTROL_LOG, EVENTS, INBOX
from stream.dead_letters import ROW_MAX
from stream.sink import intake
from stream.sink.batch import Batch
from stream.sink.columns import Block
from stream.sink.intake import (
    AGE_SECONDS,
    CHUNK_OFFSETS,
    CHUNKS_HELD,
    DAY_MS,
    Chunk,
    Intake,
    Stored,
)
from tests.pipe import AGENT, MASTER, TENANT, TRACE, Told, envelope
from tracefuse import control, wire
from tracefuse.control import Command, Reason
from tracefuse.events import Event

PARTITION = wire.partition_of(wire.trace_key(TENANT, TRACE))
AT_MS = 1_795_000_000_000
LATER = AGE_SECONDS


def fresh(stored: Stored | None = None, expected: int = 0, topic: str = EVENTS) -> Intake:
    return Intake(topic, PARTITION, MASTER, stored or Stored(), expected)


def feed(into: Intake, *lines: Event, spooled: bool = False, at_ms: int = AT_MS) -> None:
    """The next record, of these events."""
    headers, value = envelope(lines, spooled=spooled)
    into.add(into.expected, at_ms, headers, value, now=0.0)


def tick(into: Intake, at_ms: int = AT_MS) -> None:
    into.add(into.expected, at_ms, [(wire.KIND, codec.TICK)], b"{}", now=0.0)


def steps(into: Intake, *marks: tuple[int, int, int], source: int = 3) -> None:
    """The next record, of steps computed from these lines."""
    lines = [
        codec.encode(Step(
            src=(EVENTS, source, *mark), step_id=str(mark), phase="request", tenant=TENANT,
            agent_id=AGENT, trace_id=TRACE, span_id="b" * 16, action="tool",
        ))
        for mark in marks
    ]  # fmt: skip
    into.add(into.expected, AT_MS, [(wire.KIND, codec.INBOX)], codec.envelope(lines), now=0.0)


def everything(into: Intake) -> list[Chunk]:
    """All chunks, one after the other, as if each insert succeeded at once."""
    chunks = []
    while (chunk := into.take(LATER)) is not None:
        chunks.append(chunk)
        into.settled()
    return chunks


def inserts(chunk: Chunk) -> list[tuple[Block, str]]:
    return Batch([], [chunk]).inserts()


def stored_ids(chunks: list[Chunk]) -> list[str]:
    return [step for c in chunks for step in c.blocks["steps"].columns()["step_id"]]


def spans(chunks: list[Chunk]) -> list[tuple[int, int]]:
    return [(chunk.first, chunk.last) for chunk in chunks]


# -- chunks -----------------------------------------------------------------------------------------


def test_a_chunk_waits_for_its_age() -> None:
    """Inserts cost by the piece: rows wait for company, though never long."""
    told, into = Told(), fresh()
    feed(into, told("thought"))

    assert into.take(AGE_SECONDS / 2) is None
    assert into.take(AGE_SECONDS) is not None


def test_a_full_chunk_goes_at_once_and_ends_at_a_multiple() -> None:
    """Wherever it began: its end is one that another owner would choose as well."""
    told, into = Told(), fresh(expected=CHUNK_OFFSETS - 2)
    for _ in range(2 + CHUNK_OFFSETS + 1):
        feed(into, told("thought"))
    first = into.take(0.0)
    into.settled()
    second = into.take(0.0)
    into.settled()

    assert first is not None and second is not None
    assert spans([first, second]) == [
        (CHUNK_OFFSETS - 2, CHUNK_OFFSETS - 1), (CHUNK_OFFSETS, 2 * CHUNK_OFFSETS - 1),
    ]  # fmt: skip
    assert into.take(0.0) is None


def test_two_owners_build_the_same_full_chunk() -> None:
    """So the token of the second one's insert removes it, though the first is still on its way."""
    told = Told()
    sent = [told("thought") for _ in range(2 * CHUNK_OFFSETS + 5)]
    old, new = fresh(), fresh(expected=CHUNK_OFFSETS - 30)
    for event in sent:
        feed(old, event)
    for event in sent[CHUNK_OFFSETS - 30 :]:
        feed(new, event)
    of_old = {token: block.columns() for c in everything(old) for block, token in inserts(c)}
    of_new = {token: block.columns() for c in everything(new) for block, token in inserts(c)}

    full = f"events:{EVENTS}:{PARTITION}:{CHUNK_OFFSETS}-{2 * CHUNK_OFFSETS - 1}"
    assert of_old[full] == of_new[full]


def test_one_insert_at_a_time_in_order() -> None:
    """What follows waits until the outcome is known: ClickHouse never has a gap."""
    told, into = Told(), fresh()
    feed(into, told("thought"))
    first = into.take(LATER)
    feed(into, told("thought"))

    assert into.take(2 * LATER) is None
    into.settled()
    second = into.take(2 * LATER)
    assert first is not None and second is not None
    assert spans([first, second]) == [(0, 0), (1, 1)]


def test_no_chunk_holds_two_days() -> None:
    """An insert that touched two parts could be stored by half: months end where days do."""
    told, into = Told(), fresh()
    midnight = AT_MS // DAY_MS * DAY_MS
    for at_ms in (midnight - 1, midnight, midnight + 1):
        feed(into, told("thought"), at_ms=at_ms)

    assert spans(everything(into)) == [(0, 0), (1, 2)]


def test_a_chunk_is_bounded_by_its_bytes() -> None:
    """However large the lines: ClickHouse must not cut an insert into two parts."""
    told, into = Told(), fresh()
    large = "x" * 100_000
    for _ in range(intake.CHUNK_BYTES // 100_000 + 2):
        feed(into, told("thought", attrs={"a": large}))
    chunks = everything(into)

    assert len(chunks) == 2
    assert chunks[0].bytes < intake.CHUNK_BYTES + 200_000


def test_it_asks_for_a_pause() -> None:
    """While ClickHouse is away two full chunks are held and no more."""
    told, into = Told(), fresh()
    added = 0
    while not into.busy:
        feed(into, told("thought"))
        added += 1

    assert added == CHUNKS_HELD * CHUNK_OFFSETS + 1
    into.take(0.0)
    assert not into.busy


def test_what_is_safe_grows_with_the_inserts() -> None:
    """A restart may begin before every row that is not known to be stored, and after all others."""
    told, into = Told(), fresh(expected=7)
    tick(into)
    assert into.safe == 8
    feed(into, told("thought"))
    tick(into)
    assert into.safe == 8
    assert into.take(LATER) is not None
    assert into.safe == 8
    into.settled()
    assert into.safe == 10


def test_a_token_names_table_place_and_range() -> None:
    """Two tables of one topic never share one; the table that tells the position comes last."""
    told, into = Told(), fresh(expected=40)
    future = told("thought", schema_version="2.0")
    feed(into, told("thought"), future)
    tick(into)
    (chunk,) = everything(into)

    place = f"{EVENTS}:{PARTITION}:40-40"
    assert [token for _, token in inserts(chunk)] == [f"events_raw:{place}", f"events:{place}"]


# -- what is new ------------------------------------------------------------------------------------


def test_what_a_table_has_is_not_inserted_again() -> None:
    """Its own highest offset counts: one table may be ahead of the one that tells the position."""
    told = Told()
    into = fresh(Stored(offsets={"events_raw": 0}), expected=0)
    for _ in range(2):
        feed(into, told("thought"), told("thought", schema_version="2.0"))
    (chunk,) = everything(into)

    assert chunk.blocks["events"].columns()["_offset"] == [0, 1]
    assert chunk.blocks["events_raw"].columns()["_offset"] == [1]


def test_an_event_counts_once() -> None:
    """The same id within memory is dropped and counted, also in another record."""
    told, into = Told(), fresh()
    event, other = told("thought"), told("plan")
    feed(into, event, event)
    feed(into, other, event)
    (chunk,) = everything(into)

    rows = chunk.blocks["events"].columns()
    assert rows["event_id"] == [event.event_id, other.event_id]
    assert into.dropped["duplicate"] == 2


def test_the_memory_of_ids_is_bounded() -> None:
    """An id that left the memory is new again: what comes so late is marked spooled and looked up."""
    into = fresh()
    for number in range(intake.RECENT + 5):
        assert into._unseen(str(number))

    assert len(into._recent) == intake.RECENT
    assert not into._unseen(str(intake.RECENT))
    assert into._unseen("0")


def test_spooled_events_are_to_be_looked_up() -> None:
    """Only those: a look-up costs more than the insert of a row."""
    told, into = Told(), fresh()
    fresh_event, old, older = told("thought"), told("thought"), told("thought")
    feed(into, fresh_event)
    feed(into, old, older, spooled=True)
    (chunk,) = everything(into)
    chunk.forget({old.event_id})

    assert chunk.spooled == [old, older]
    assert chunk.blocks["events"].columns()["event_id"] == [
        fresh_event.event_id, older.event_id,
    ]  # fmt: skip


def test_a_chunk_without_anything_new_needs_no_insert() -> None:
    """All of it was stored before."""
    told, into = Told(), fresh()
    event = told("thought")
    feed(into, event, spooled=True)
    (chunk,) = everything(into)
    chunk.forget({event.event_id})

    assert inserts(chunk) == []


def test_repeats_after_a_crash_are_dropped_by_their_source() -> None:
    """A worker computes again what it computed before, at new offsets: the first one counts."""
    into = fresh(Stored(marks={("", EVENTS, 3): (10, 0, 1)}), topic=INBOX)
    steps(into, (10, 0, 0), (10, 0, 1), (10, 0, 2), (11, 0, 0))
    steps(into, (10, 0, 2), (11, 0, 0), (11, 1, 0))
    steps(into, (5, 0, 0), source=4)

    assert stored_ids(everything(into)) == ["(10, 0, 2)", "(11, 0, 0)", "(11, 1, 0)", "(5, 0, 0)"]
    assert into.repeats == 4


def test_an_overtaken_acknowledgement_is_no_repeat() -> None:
    """Commands of a batch are written before its acknowledgements, though their source is later."""
    src: Src = (INBOX, 1, 100, 0, 0)
    later: Src = (INBOX, 1, 105, 0, 1)
    into = fresh(topic=CONTROL_LOG)
    command = Command(
        cmd_id="c2", scope="agent:acme/refunds", author="auto", action="open", state="open",
        epoch=1, reason=Reason(rule="r"), src=later,
    )  # fmt: skip
    ack = Acknowledged(
        src=src, tenant=TENANT, agent_id=AGENT, cmd_id="c1", scope=command.scope, event_id="e",
        applied_at=1, at=1.0,
    )  # fmt: skip
    into.add(0, AT_MS, [(wire.KIND, codec.COMMANDS)], control.encode(command), 0.0)
    into.add(1, AT_MS, [(wire.KIND, codec.ACKS)], codec.encode(ack), 0.0)
    into.add(2, AT_MS, [(wire.KIND, codec.ACKS)], codec.encode(ack), 0.0)
    (chunk,) = everything(into)

    assert chunk.blocks["control_log"].columns()["record"] == ["command", "ack"]
    assert into.repeats == 1


def test_what_people_wrote_has_no_source() -> None:
    """It is kept whenever it is written; views show it once by its own id."""
    into = fresh(topic=CONTROL_LOG)
    human = Command(
        cmd_id="h1", scope="agent:acme/refunds", author="human", action="open",
        state="forced_open", epoch=1, reason=Reason(rule="human"),
    )  # fmt: skip
    for offset in range(2):
        into.add(offset, AT_MS, [(wire.KIND, codec.COMMANDS)], control.encode(human), 0.0)
    (chunk,) = everything(into)

    assert chunk.blocks["control_log"].columns()["_src_topic"] == [NO_SRC[0]] * 2


def test_forged_records_are_counted() -> None:
    """No row, no silence: the reason stands in the metric."""
    into = fresh()
    headers, value = envelope([Told()("thought")])
    into.add(0, AT_MS, headers, value + b"x", 0.0)

    assert everything(into) == []
    assert into.dropped["bad_mac"] == 1


def test_results_that_cannot_be_read_reach_the_limit() -> None:
    """Nobody else keeps them: a sink older than the workers must not pass over what they write."""
    into = fresh(topic=INBOX)
    steps(into, (1, 0, 0))
    for _ in range(ROW_MAX):
        assert not into.limit.reached
        into.add(into.expected, AT_MS, [(wire.KIND, codec.INBOX)], b'{"type":"step",', now=0.0)

    assert into.limit.reached
    assert into.dropped["malformed"] == ROW_MAX


def test_events_that_cannot_be_read_do_not() -> None:
    """The join keeps those and judges them; and a forger stops nobody."""
    into = fresh()
    for line in (b"{", b"{}") * ROW_MAX:
        headers, value = envelope([line])
        into.add(into.expected, AT_MS, headers, value, now=0.0)
        into.add(into.expected, AT_MS, headers, value + b"x", now=0.0)

    assert into.dropped.total() == 4 * ROW_MAX
    assert not into.limit.reached
