"""A partition in a worker's hands: its pure core, our term of it, and who writes its checkpoints."""

import time
from collections.abc import Sequence
from math import inf
from typing import Protocol

from ingest import metrics
from stream.dead_letters import Limit
from stream.outputs import Output
from stream.partition import Marker, Partition, Snapshot
from stream.worker.checkpoint import Checkpoint
from tracefuse import wire


class Core(Protocol):
    """A pure core of one partition."""

    topic: str
    number: int

    @property
    def partition(self) -> Partition: ...  # type: ignore[type-arg]
    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> Sequence[Output]: ...
    def freeze(self) -> Snapshot: ...
    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None: ...


class Owned:
    """One partition in this worker's hands."""

    def __init__(self, core: Core, term: int, writer: Checkpoint):
        self.core = core
        self.term = term
        self.writer = writer
        self.saved_at = time.monotonic()
        self.count = metrics.PROCESSED.labels(topic=core.topic, partition=core.number)
        self.limit = Limit()
        self.fenced = False  # somebody took the partition after us: we say nothing any more
        self.ahead = False  # something came that lies behind what is due
        self.sought_at = -inf
