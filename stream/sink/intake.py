"""One partition on its way into ClickHouse: what is new, and where an insert ends. Pure.

Between `rows.py`, which reads a record, and `batch.py`, which says what is inserted together.
A chunk is one contiguous range of offsets. It ends at a multiple of `CHUNK_OFFSETS` whenever the records are
there, so an owner taken for dead and his successor build the same one and its token removes the second; a
chunk that ends by its age is fenced by the highest stored offset instead.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ingest.records import NO_SRC
from ingest.topics import EVENTS
from stream.dead_letters import Limit
from stream.sink import rows
from stream.sink.columns import Block
from stream.sink.rows import DERIVED, Row, Skip
from tracefuse import wire
from tracefuse.events import Event

# In envelopes of 20 events 10,000 rows: beyond that an insert gets no cheaper by the row.
CHUNK_OFFSETS = 512
# Far below the 256 MB at which ClickHouse would cut one insert into two parts.
CHUNK_BYTES = 16 << 20
# With fetching and the insert itself, rows are there within a second of the broker's time; each insert
# costs the store several ms whatever it holds, so a shorter wait would be paid by everybody.
AGE_SECONDS = 0.75
# Two full chunks wait at most; the partition is paused before there is a third.
CHUNKS_HELD = 2
# Event ids remembered per partition: 30 s of one partition's share of 8,000 events/s, about 5 MB.
RECENT = 32_768

DAY_MS = 86_400_000  # no insert holds two days, so none touches two of the table's months

Mark = tuple[int, int, int]  # offset, line and number of a source
Source = tuple[str, str, int]  # order, topic and partition of a source


@dataclass(frozen=True, slots=True)
class Stored:
    """What ClickHouse holds of one partition: highest offset by table, highest mark by source."""

    offsets: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[Source, Mark] = field(default_factory=dict)


class Chunk:
    """Rows of one contiguous range of offsets, table by table."""

    def __init__(self, topic: str, partition: int, day: int, born: float):
        self.topic, self.partition, self.day, self.born = topic, partition, day, born
        self.first = self.last = -1  # offsets of the first and the last row
        self.full = False  # it ended where another owner's would
        self.bytes = 0
        self.blocks: dict[str, Block] = {}
        self.spooled: list[Event] = []  # to be looked up before the insert

    def add(self, row: Row, offset: int, at_ms: int) -> None:
        if self.first < 0:
            self.first = offset
        self.last = offset
        self.bytes += len(row.raw)
        block = self.blocks.get(row.table)
        if block is None:
            block = self.blocks[row.table] = Block(row.table, self.topic, self.partition)
        block.add(row, offset, at_ms)
        if row.spooled and isinstance(row.item, Event):
            self.spooled.append(row.item)

    def forget(self, event_ids: set[str]) -> None:
        """Take out events that ClickHouse has already."""
        self.blocks["events"] = self.blocks["events"].without(event_ids)

    @property
    def span(self) -> str:
        """Its place in the topic: what its token names."""
        return f"{self.partition}:{self.first}-{self.last}"


class Intake:
    """Records of one partition in, chunks out.

    Parameters
    ----------
    topic, partition
        Which one.
    master
        The key from which the agents' credentials derive.
    stored
        What ClickHouse holds of it.
    expected
        Offset of the next record, >= 0.

    Notes
    -----
    About 12 µs an event, most of it for decoding and for columns. Memory: `CHUNKS_HELD` chunks and
    `RECENT` event ids.
    """

    def __init__(self, topic: str, partition: int, master: bytes, stored: Stored, expected: int):
        self.topic, self.partition, self.expected = topic, partition, expected
        self.dropped: Counter[str] = Counter()  # rows not written, by reason
        self.repeats = 0
        self.limit = Limit()
        self._master = master
        self._offsets = dict(stored.offsets)
        self._marks = dict(stored.marks)
        self._recent: dict[str, None] = {}
        self._full: deque[Chunk] = deque()
        self._open: Chunk | None = None
        self._out: Chunk | None = None

    def add(
        self, offset: int, at_ms: int, headers: wire.Headers, value: bytes | None, now: float
    ) -> None:
        """The next record; its offset is `expected`. `now` is any clock that never falls, in s."""
        assert offset == self.expected, "records of a partition come one after the other"
        self.expected = offset + 1
        day = at_ms // DAY_MS
        self._cut(offset, day)
        lines = dead = 0
        for found in rows.read(self.topic, self.partition, headers, value, self._master):
            lines += 1
            if isinstance(found, Skip):
                self.dropped[found.reason] += 1
                dead += 1
            elif self._new(found, offset):
                if self._open is None:
                    self._open = Chunk(self.topic, self.partition, day, now)
                self._open.add(found, offset, at_ms)
        if self.topic != EVENTS:  # bad events are for the join to judge, which keeps them
            self.limit.take(lines, dead)

    def take(self, now: float) -> Chunk | None:
        """The next chunk to insert: a full one, or one that has waited long enough. One at a time."""
        if self._out is not None:
            return None
        if self._full:
            self._out = self._full.popleft()
        elif self._open is not None and now - self._open.born >= AGE_SECONDS:
            self._out, self._open = self._open, None
        return self._out

    def along(self, day: int) -> Chunk | None:
        """What waits of this day, however short: for an insert that goes now anyway."""
        if self._out is not None or self._full or self._open is None or self._open.day != day:
            return None
        self._out, self._open = self._open, None
        return self._out

    def settled(self) -> None:
        """The chunk taken last stands in ClickHouse."""
        self._out = None

    @property
    def safe(self) -> int:
        """Offset up to which all is stored or makes no rows: what a restart may begin at."""
        oldest = next(self._waiting(), None)
        return self.expected if oldest is None else oldest.first

    @property
    def held(self) -> int:
        """Bytes of the lines that are not known to stand in ClickHouse."""
        return sum(chunk.bytes for chunk in self._waiting())

    def _waiting(self) -> Iterator[Chunk]:
        """Chunks that are not stored, the oldest first."""
        for chunk in (self._out, *self._full, self._open):
            if chunk is not None:
                yield chunk

    @property
    def busy(self) -> bool:
        """Whether more than it may hold is waiting: pause the partition."""
        return len(self._full) >= CHUNKS_HELD

    def _cut(self, offset: int, day: int) -> None:
        chunk = self._open
        if chunk is not None and (
            offset % CHUNK_OFFSETS == 0 or chunk.day != day or chunk.bytes >= CHUNK_BYTES
        ):
            chunk.full = True
            self._full.append(chunk)
            self._open = None

    def _new(self, row: Row, offset: int) -> bool:
        if offset <= self._offsets.get(row.table, -1):
            return False
        if row.table in DERIVED:
            return self._above(row)
        if isinstance(row.item, Event):
            return self._unseen(row.item.event_id)
        return True

    def _above(self, row: Row) -> bool:
        topic, partition, *position = rows.src(row.item)
        if topic == NO_SRC[0]:
            return True  # people made it: views show it once by its own id
        source = (rows.order(row.item), topic, partition)
        mark = (position[0], position[1], position[2])
        if mark <= self._marks.get(source, NO_SRC[2:]):
            self.repeats += 1
            return False
        self._marks[source] = mark
        return True

    def _unseen(self, event_id: str) -> bool:
        if event_id in self._recent:
            self.dropped["duplicate"] += 1
            return False
        self._recent[event_id] = None
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return True
