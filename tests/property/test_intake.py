"""Whatever dies when: every event stands in ClickHouse once. The sink's rules against a model of both sides.

The log is a list of records, the store a dictionary of blocks by token. An owner dies with an insert on
its way that was stored, was lost, or arrives after its successor has read his position.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import codec
from ingest.topics import EVENTS
from stream.sink import columns, intake
from stream.sink.batch import Batch, due
from stream.sink.intake import AGE_SECONDS, Chunk, Intake, Stored
from tests.pipe import MASTER, TENANT, TRACE, Told, envelope, trace_id
from tracefuse import wire

PARTITION = wire.partition_of(wire.trace_key(TENANT, TRACE))
CHUNK = 4  # offsets: small, so that short logs have many ends
DAY_MS = 86_400_000
TICK = ([(wire.KIND, codec.TICK)], b"{}")


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Chunks of a few records, of which some have columns before all are there."""
    patch = pytest.MonkeyPatch()
    patch.setattr(columns, "WARM", 3)
    patch.setattr(intake, "CHUNK_OFFSETS", CHUNK)
    yield
    patch.undo()


@dataclass
class Store:
    """ClickHouse as the sink relies on it: a block once per token, and the highest offset."""

    tokens: bool = True
    blocks: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    number: Any = field(default_factory=count)

    def insert(self, *chunks: Chunk) -> None:
        for block, token in Batch([], list(chunks)).inserts():
            name = token if self.tokens else f"{token}#{next(self.number)}"
            rows = block.columns()
            places = zip(rows["_partition"], rows["_offset"], rows["event_id"], strict=True)
            self.blocks.setdefault(name, list(places))

    def rows(self, partition: int = PARTITION) -> list[tuple[int, str]]:
        found = [row for block in self.blocks.values() for row in block]
        return sorted((offset, name) for number, offset, name in found if number == partition)

    def position(self, partition: int) -> int:
        return max((offset for offset, _ in self.rows(partition)), default=-1)


log = st.lists(st.sampled_from(["event", "event", "two", "tick", "midnight"]), max_size=40)
# What the next owner's life holds: how many records he reads before he inserts, and how he dies.
lives = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["stored", "lost", "late"])), max_size=8
)

# For two partitions: enough for full chunks and more; how many records of each are read, and inserts made.
long = st.lists(st.sampled_from(["event", "event", "tick", "midnight"]), min_size=6, max_size=24)
turns = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2))


@settings(deadline=None)
@given(log, lives)
def test_every_event_is_stored_once(log: list[str], lives: list[tuple[int, str]]) -> None:
    """Over any sequence of deaths, with inserts that arrive late, nothing is lost or twice there.

    A full chunk that arrives late is fenced by its token. One that was cut by its age has no end that
    a successor would choose too; there the wait of `positions` must do, which is why an owner whose
    predecessor's insert is still on its way inserts full chunks alone here.
    """
    records, expected = written(log)
    store = Store()
    live(store, records, lives)

    assert [event_id for _, event_id in store.rows()] == expected


@settings(deadline=None)
@given(long, long, st.lists(turns, min_size=1, max_size=5))
def test_partitions_that_share_inserts_store_everything_once(
    one: list[str], other: list[str], lives: list[tuple[int, int, int]]
) -> None:
    """An owner of two partitions dies after any insert; the next goes on in both where each stands."""
    elsewhere = next(t for t in map(trace_id, count()) if place(t) != PARTITION)
    logs = {PARTITION: written(one), place(elsewhere): written(other, elsewhere)}
    store, everything = Store(), len(one) + len(other)
    for *reads, inserts in [*lives, (everything, everything, everything)]:
        owners = [born(store, number) for number in logs]
        for owner, most in zip(owners, reads, strict=True):
            records, _ = logs[owner.partition]
            for at_ms, headers, value in records[owner.expected :][:most]:
                owner.add(owner.expected, at_ms, headers, value, now=0.0)
        left = inserts
        while left > 0 and (batches := list(due(owners, AGE_SECONDS))):
            for batch in batches[:left]:
                store.insert(*batch.chunks)
                batch.settled()
            left -= len(batches)

    for number, (_, expected) in logs.items():
        assert [event_id for _, event_id in store.rows(number)] == expected


def test_without_tokens_a_late_insert_would_be_stored_twice() -> None:
    """The control: the highest offset alone does not fence an owner who is taken for dead."""
    records, expected = written(["event"] * (CHUNK + 1))
    store = Store(tokens=False)
    live(store, records, [(CHUNK + 1, "late")])

    assert len(store.rows()) == len(expected) + CHUNK


def place(trace: str) -> int:
    return wire.partition_of(wire.trace_key(TENANT, trace))


def written(log: list[str], trace: str = TRACE) -> tuple[list[tuple[int, Any, bytes]], list[str]]:
    """Records of the log, and the ids that must be stored, in order."""
    told, at_ms, ids = Told(trace_id=trace), DAY_MS - 1, []
    records: list[tuple[int, Any, bytes]] = []
    for what in log:
        if what == "midnight":
            at_ms += DAY_MS
        if what in ("tick", "midnight"):
            records.append((at_ms, *TICK))
            continue
        events = [told("thought") for _ in range(2 if what == "two" else 1)]
        ids += [event.event_id for event in events]
        records.append((at_ms, *envelope(events)))
    return records, ids


def live(store: Store, records: list[Any], lives: list[tuple[int, str]]) -> None:
    """Owner after owner, and one more who finishes."""
    late: list[Chunk] = []
    for reads, death in lives:
        owner = born(store)
        unsettled = bool(late)
        for one in late:  # it arrives only now: the position was read without it
            store.insert(one)
        late = []
        for at_ms, headers, value in records[owner.expected :][:reads]:
            owner.add(owner.expected, at_ms, headers, value, now=0.0)
        full = owner.take(0.0)
        if full is not None and death == "late":  # its end is one that the successor chooses too
            late = [full]
        elif full is None and unsettled:
            continue
        elif (chunk := full or owner.take(AGE_SECONDS)) is not None and death == "stored":
            store.insert(chunk)
    owner = born(store)
    for one in late:
        store.insert(one)
    for at_ms, headers, value in records[owner.expected :]:
        owner.add(owner.expected, at_ms, headers, value, now=0.0)
    while (rest := owner.take(AGE_SECONDS)) is not None:
        store.insert(rest)
        owner.settled()


def born(store: Store, partition: int = PARTITION) -> Intake:
    """The next owner, where the store stands."""
    position = store.position(partition)
    offsets = {"events": position} if position >= 0 else {}
    return Intake(EVENTS, partition, MASTER, Stored(offsets=offsets), position + 1)
