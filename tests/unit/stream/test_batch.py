"""Which chunks share an insert, and what its token names."""

import pytest

from ingest import codec
from ingest.records import Step
from ingest.topics import EVENTS, INBOX
from stream.sink import batch
from stream.sink.batch import Batch, due
from stream.sink.intake import AGE_SECONDS, CHUNK_OFFSETS, DAY_MS, Intake, Stored
from tests.pipe import AGENT, MASTER, TENANT, TRACE, Told, envelope, trace_id
from tracefuse import wire

AT_MS = 1_795_000_000_000


def partition_of(trace: str) -> int:
    return wire.partition_of(wire.trace_key(TENANT, trace))


def three() -> list[tuple[Told, Intake]]:
    """Agents whose traces lie in three partitions, and these."""
    found: dict[int, Told] = {}
    for number in range(100):
        found.setdefault(partition_of(trace_id(number)), Told(trace_id=trace_id(number)))
    chosen = sorted(found.items())[:3]
    return [(told, Intake(EVENTS, p, MASTER, Stored(), 0)) for p, told in chosen]


def feed(told: Told, into: Intake, now: float = 0.0, at_ms: int = AT_MS, **more: str) -> str:
    """The next record, of one event; its id."""
    event = told("thought", **more)
    headers, value = envelope([event])
    into.add(into.expected, at_ms, headers, value, now)
    return event.event_id


def ids(batch: Batch) -> list[str]:
    ((block, _),) = batch.inserts()
    return list(block.columns()["event_id"])


def partitions(batch: Batch) -> list[int]:
    return [chunk.partition for chunk in batch.chunks]


def test_what_waits_elsewhere_goes_along() -> None:
    """One insert for the topic: rows of all its partitions, each with its own place."""
    (a, of_a), (b, of_b), (c, of_c) = three()
    sent = [feed(a, of_a), feed(a, of_a), feed(b, of_b, 0.5), feed(c, of_c, 0.6)]
    (found,) = due([of_a, of_b, of_c], AGE_SECONDS)
    ((block, token),) = found.inserts()

    assert ids(found) == sent
    columns = block.columns()
    numbers = [of_a.partition, of_b.partition, of_c.partition]
    assert columns["_partition"] == [numbers[0], *numbers]
    assert columns["_offset"] == [0, 1, 0, 0]
    spans = f"{numbers[0]}:0-1,{numbers[1]}:0-0,{numbers[2]}:0-0"
    assert token == f"events:{EVENTS}:{spans}"


def test_nothing_goes_before_somebody_has_waited() -> None:
    """Company alone is no reason for an insert."""
    (a, of_a), (b, of_b), _ = three()
    feed(a, of_a, 0.1)
    feed(b, of_b, 0.2)

    assert list(due([of_a, of_b], AGE_SECONDS)) == []


def test_each_topic_has_its_own() -> None:
    """A token's blocks are of one topic: its rows tell that topic's position."""
    told = Told()
    events = Intake(EVENTS, partition_of(TRACE), MASTER, Stored(), 0)
    inbox = Intake(INBOX, partition_of(TRACE), MASTER, Stored(), 0)
    feed(told, events)
    step = Step(
        src=(EVENTS, 1, 0, 0, 0), step_id="s", phase="request", tenant=TENANT, agent_id=AGENT,
        trace_id=TRACE, span_id="b" * 16, action="tool",
    )  # fmt: skip
    inbox.add(0, AT_MS, [(wire.KIND, codec.INBOX)], codec.encode(step), 0.0)

    assert [partitions(found) for found in due([events, inbox], AGE_SECONDS)] == [
        [events.partition], [inbox.partition],
    ]  # fmt: skip


def test_no_insert_holds_two_days() -> None:
    """Nor one of several partitions: months end where days do, and an insert must stay one part."""
    (a, of_a), (b, of_b), _ = three()
    midnight = AT_MS // DAY_MS * DAY_MS
    feed(a, of_a, at_ms=midnight - 1)
    feed(b, of_b, at_ms=midnight)

    found = list(due([of_a, of_b], AGE_SECONDS))
    assert [partitions(one) for one in found] == [[of_a.partition], [of_b.partition]]


def test_a_full_chunk_goes_alone() -> None:
    """Its token must be one that another owner of this partition would choose too."""
    (a, of_a), (b, of_b), _ = three()
    for _ in range(CHUNK_OFFSETS + 1):
        feed(a, of_a)
    feed(b, of_b)

    first, second = due([of_a, of_b], AGE_SECONDS)
    assert partitions(first) == [of_a.partition] and len(ids(first)) == CHUNK_OFFSETS
    assert partitions(second) == [of_b.partition]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_follows_a_full_chunk_waits_for_it(order: tuple[int, int]) -> None:
    """A partition's rows go in their order, whoever's insert they could share."""
    agents = three()[:2]
    (a, of_a), (b, of_b) = agents
    for _ in range(CHUNK_OFFSETS + 1):
        feed(a, of_a)
    feed(b, of_b)
    intakes = [agents[n][1] for n in order]

    offsets = [
        block.columns()["_offset"]
        for one in due(intakes, AGE_SECONDS)
        for block, _ in one.inserts()
    ]
    assert sorted(offsets, key=len) == [[0], list(range(CHUNK_OFFSETS))]


def test_who_has_an_insert_on_its_way_waits() -> None:
    """One at a time for each partition, until the outcome is known for all that shared it."""
    (a, of_a), (b, of_b), _ = three()
    feed(a, of_a)
    feed(b, of_b)
    (first,) = due([of_a, of_b], AGE_SECONDS)
    feed(a, of_a)
    feed(b, of_b)

    assert list(due([of_a, of_b], 9.0)) == []
    assert (of_a.safe, of_b.safe) == (0, 0)
    first.settled()
    assert (of_a.safe, of_b.safe) == (1, 1)
    (second,) = due([of_a, of_b], 9.0)
    assert [chunk.span for chunk in second.chunks] == [
        f"{of_a.partition}:1-1", f"{of_b.partition}:1-1",
    ]  # fmt: skip


def test_an_insert_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the bound goes in another insert, at once: ClickHouse must not cut one in two."""
    monkeypatch.setattr(batch, "CHUNK_BYTES", 1000)
    agents = three()
    for told, into in agents:
        feed(told, into, attrs={"a": "x" * 600})  # type: ignore[arg-type]

    found = list(due([into for _, into in agents], AGE_SECONDS))
    assert [len(one.chunks) for one in found] == [2, 1]


def test_the_position_comes_last() -> None:
    """What stands in another table before it is never missing, in whichever partition it is."""
    (a, of_a), (b, of_b), _ = three()
    feed(a, of_a)
    feed(b, of_b, schema_version="2.0")
    (found,) = due([of_a, of_b], AGE_SECONDS)

    assert [block.table for block, _ in found.inserts()] == ["events_raw", "events"]


def test_spooled_events_are_forgotten_in_each_partition() -> None:
    """One look-up for all of them; what is known goes out of every chunk."""
    (a, of_a), (b, of_b), _ = three()
    known = []
    for told, into in ((a, of_a), (b, of_b)):
        events = [told("thought"), told("plan")]
        headers, value = envelope(events, spooled=True)
        into.add(0, AT_MS, headers, value, 0.0)
        known.append(events[0].event_id)
    (found,) = due([of_a, of_b], AGE_SECONDS)

    assert len(found.spooled) == 4
    found.forget(set(known))
    assert len(ids(found)) == 2 and not set(ids(found)) & set(known)
