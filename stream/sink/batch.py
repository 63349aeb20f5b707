"""Which chunks go into ClickHouse together: one insert for each table of a topic. Pure.

Between `intake.py`, which says what is new of a partition, and `sink.py`, which moves bytes.
An insert costs the store and the sink several ms whatever it holds, so a chunk that ends by its age takes
along what waits in the other partitions of its topic; eight small inserts a second become one. Full chunks
go alone: only what ends in one partition, where it must, is built in the same way by another owner.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from stream.sink import rows
from stream.sink.columns import Block
from stream.sink.intake import CHUNK_BYTES, Chunk, Intake
from tracefuse.events import Event


class Batch(NamedTuple):
    """Chunks of one topic and one day, each with the intake that it came from."""

    intakes: list[Intake]
    chunks: list[Chunk]

    @property
    def spooled(self) -> list[Event]:
        """Events to be looked up before the insert."""
        return [event for chunk in self.chunks for event in chunk.spooled]

    def forget(self, event_ids: set[str]) -> None:
        """Take out events that ClickHouse has already."""
        for chunk in self.chunks:
            if chunk.spooled:
                chunk.forget(event_ids)

    def inserts(self) -> list[tuple[Block, str]]:
        """Blocks with their tokens. The table that tells the position comes last: what stands before
        it is then never missing, and what was stored twice is left out by its own highest offset.
        """
        topic = self.chunks[0].topic
        joined: dict[str, Block] = {}
        for chunk in self.chunks:
            for table, block in chunk.blocks.items():
                joined.setdefault(table, Block(table, topic, chunk.partition)).extend(block)
        ordered = sorted(joined.values(), key=lambda block: block.table == rows.TABLES[topic])
        place = f"{topic}:{','.join(chunk.span for chunk in self.chunks)}"
        return [(block, f"{block.table}:{place}") for block in ordered if len(block)]

    def settled(self) -> None:
        """All of it stands in ClickHouse."""
        for intake in self.intakes:
            intake.settled()


def due(intakes: Collection[Intake], now: float) -> Iterator[Batch]:
    """What is to be inserted now; what it yields is taken from its intakes."""
    for intake in intakes:
        chunk = intake.take(now)
        if chunk is None:
            continue
        batch = Batch([intake], [chunk])
        if not chunk.full:
            _fill(batch, intakes)
        yield batch


def _fill(batch: Batch, intakes: Collection[Intake]) -> None:
    """Take along what waits in other partitions, as far as one insert stays one part of the table."""
    first = batch.chunks[0]
    size = first.bytes
    for other in intakes:
        if other.topic != first.topic or size >= CHUNK_BYTES:
            continue
        chunk = other.along(first.day)
        if chunk is not None:
            size += chunk.bytes
            batch.intakes.append(other)
            batch.chunks.append(chunk)
