"""Checkpoints of what a worker owns: frozen between two batches, encoded little by little, then a marker.

All at once a save kept the worker busy for a tenth of a second, every two seconds, and whoever waited for
a verdict or a stop just then waited for it, too.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from ingest import metrics
from stream.partition import Snapshot
from stream.worker import checkpoint
from stream.worker.owned import Owned
from stream.worker.publishing import Underway

# From the beginning of a save to that of the next: a restart repeats at most so much, and `SPREAD_SECONDS`.
SAVE_SECONDS = 2.0
SPREAD_SECONDS = 1.0  # of a save's encoding at least; one that has more to do takes longer
SLICE_SECONDS = 0.002  # of encoding at a time: held calls must not wait for a checkpoint
IDLE_SAVE_SECONDS = 10.0  # where only time has passed

Frozen = Sequence[tuple[Owned, Snapshot]]


class Saver:
    """Writes the checkpoints of a worker's partitions; one save at a time.

    Parameters
    ----------
    owned
        The worker's partitions by topic and number, as they are at any moment.
    locks, underway
        By topic: what keeps batches out, and the outputs that the broker has not acknowledged.
    """

    def __init__(
        self,
        owned: Mapping[tuple[str, int], Owned],
        locks: Mapping[str, asyncio.Lock],
        underway: Mapping[str, Underway],
    ):
        self._owned, self._locks, self._underway = owned, locks, underway
        self._hurried = 0  # who waits for the save that is under way
        self._saving = asyncio.Lock()
        self.producer: AIOKafkaProducer | None = None

    async def often(self) -> None:
        """Save until cancelled. However long a save takes, the next one leaves time between."""
        while True:
            due = time.monotonic() + SAVE_SECONDS
            await self.save()
            await asyncio.sleep(max(due - time.monotonic(), SAVE_SECONDS - SPREAD_SECONDS))

    async def save(self, everything: bool = False) -> None:
        """Write a checkpoint of each partition that changed: cells first, then the markers.

        Parameters
        ----------
        everything
            Of each partition, and as fast as it goes: somebody waits.
        """
        async with self.at_rest() if everything else self._saving:
            await self._save(everything)

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """No save is under way, nor begins; the one that is, is hurried. To be taken before any lock."""
        self._hurried += 1
        try:
            async with self._saving:
                yield
        finally:
            self._hurried -= 1

    async def _save(self, everything: bool) -> None:
        started = time.monotonic()
        found = [await self._freeze(owned) for owned in self._due(everything)]
        frozen = [one for one in found if one is not None]
        await self._send_cells(frozen)
        for underway in self._underway.values():
            await underway.settled()
        await self._send_markers(frozen)
        if frozen:
            metrics.CHECKPOINT_SECONDS.observe(time.monotonic() - started)

    def _due(self, everything: bool) -> list[Owned]:
        now = time.monotonic()
        return [
            owned
            for owned in self._owned.values()
            if not owned.fenced
            and (
                everything
                or not owned.core.partition.quiet
                or now - owned.saved_at >= IDLE_SAVE_SECONDS
            )
        ]

    async def _freeze(self, owned: Owned) -> tuple[Owned, Snapshot] | None:
        core = owned.core
        async with self._locks[core.topic]:  # between two batches: all outputs are on their way
            if self._owned.get((core.topic, core.number)) is not owned:
                return None  # meanwhile a batch was broken off
            return owned, core.freeze()

    async def _send_cells(self, frozen: Frozen) -> None:
        assert self.producer is not None
        keys, began = sum(len(one.pending) for _, one in frozen), time.monotonic()
        waiting = []
        for owned, snapshot in frozen:
            while snapshot.pending:
                left = sum(len(one.pending) for _, one in frozen)
                await self._pause(began + SPREAD_SECONDS * (1 - left / keys))
                await self._encode_some(owned, snapshot)
            cells = owned.writer.cells(snapshot.marker.offset, snapshot.cells)
            waiting += await checkpoint.send(self.producer, owned.core.number, cells)
            metrics.CHECKPOINT_KEYS.inc(len(snapshot.cells))
        await asyncio.gather(*waiting)

    async def _pause(self, until: float) -> None:
        await asyncio.sleep(0 if self._hurried else max(until - time.monotonic(), 0.0))

    async def _encode_some(self, owned: Owned, snapshot: Snapshot) -> None:
        """One slice; the lock keeps batches from running inside."""
        async with self._locks[owned.core.topic]:
            until = time.monotonic() + SLICE_SECONDS
            while owned.core.partition.encode_some(snapshot) and time.monotonic() < until:
                pass

    async def _send_markers(self, frozen: Frozen) -> None:
        assert self.producer is not None
        markers = []
        for owned, snapshot in frozen:
            record = owned.writer.marker(snapshot.marker)
            markers += await checkpoint.send(self.producer, owned.core.number, [record])
            owned.saved_at = time.monotonic()
        await asyncio.gather(*markers)
