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
from stream.sink import intake
from stream.sink.batch import Batch
from stream.sink.intake import AGE_SECONDS, Chunk, Intake, Stored
from tests.pipe import MASTER, TENANT, TRACE, Told, envelope
from tracefuse import wire

PARTITION = wire.partition_of(wire.trace_key(TENANT, TRACE))
CHUNK = 4  # offsets: small, so that short logs have many ends
DAY_MS = 86_400_000
TICK = ([(wire.KIND, codec.TICK)], b"{}")


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    """Chunks of a few records."""
    patch = pytest.MonkeyPatch()
    patch.setattr(intake, "CHUNK_OFFSETS", CHUNK)
    yield
    patch.undo()


@dataclass
class Store:
    """ClickHouse as the sink relies on it: a block once per token, and the highest offset."""

    tokens: bool = True
    blocks: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    number: Any = field(default_factory=count)

    def insert(self, chunk: Chunk) -> None:
        for block, token in Batch([], [chunk]).inserts():
            name = token if self.tokens else f"{token}#{next(self.number)}"
            ids = [row.item.event_id for row in block.rows]  # type: ignore[union-attr]
            self.blocks.setdefault(name, list(zip(block.offsets, ids, strict=True)))

    def rows(self) -> list[tuple[int, str]]:
        return sorted(row for block in self.blocks.values() for row in block)

    def position(self) -> int:
        return max((offset for offset, _ in self.rows()), default=-1)


log = st.lists(st.sampled_from(["event", "event", "two", "tick", "midnight"]), max_size=40)
# What the next owner's life holds: how many records he reads before he inserts, and how he dies.
lives = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["stored", "lost", "late"])), max_size=8
)


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


def test_without_tokens_a_late_insert_would_be_stored_twice() -> None:
    """The control: the highest offset alone does not fence an owner who is taken for dead."""
    records, expected = written(["event"] * (CHUNK + 1))
    store = Store(tokens=False)
    live(store, records, [(CHUNK + 1, "late")])

    assert len(store.rows()) == len(expected) + CHUNK


def written(log: list[str]) -> tuple[list[tuple[int, Any, bytes]], list[str]]:
    """Records of the log, and the ids that must be stored, in order."""
    told, at_ms, ids = Told(), DAY_MS - 1, []
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


def born(store: Store) -> Intake:
    """The next owner, where the store stands."""
    position = store.position()
    offsets = {"events": position} if position >= 0 else {}
    return Intake(EVENTS, PARTITION, MASTER, Stored(offsets=offsets), position + 1)
