"""The world around the pure cores of one worker: terms, ticks, publishing, checkpoints. Knows no Faust.

A record is applied only if its partition is owned and it is the next one; its outputs leave in that order;
a checkpoint holds nothing whose outputs the broker has not acknowledged, and decides where to go on after
a restart.
"""

import asyncio
import hmac
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest

from aiokafka import AIOKafkaProducer, TopicPartition

from ingest import codec, metrics
from ingest.keys import Keys
from ingest.reading import reader
from ingest.records import Owner
from ingest.settings import Settings
from ingest.topics import EVENTS, INBOX
from stream.build import build
from stream.dead_letters import counted
from stream.detect.detect import Detect
from stream.join.join import Join
from stream.outputs import Output
from stream.worker import checkpoint, counting
from stream.worker.checkpoint import Checkpoint
from stream.worker.owned import Core, Owned
from stream.worker.publishing import Publisher, Underway
from stream.worker.saving import Saver
from tracefuse import ids, life, wire
from tracefuse.clock import now_us
from tracefuse.signing import CommandVerifier, packed

log = logging.getLogger("tracefuse.worker")

TICK_SECONDS = 0.5
SEEK_SECONDS = 1.0  # what is asked for again needs some milliseconds to come


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as the cores need it; `timestamp` in seconds, the broker's."""

    partition: int
    offset: int
    timestamp: float
    headers: wire.Headers
    value: bytes


Cores = dict[str, Callable[[int], Core]]


def _ended(task: "asyncio.Task[None]") -> None:
    """Without ticks or checkpoints a worker is none: it ends, and starts again where it was."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("A task of the worker failed; the worker ends.", exc_info=error)
        os._exit(70)


def _count(topic: str, said: Sequence[Output], newest: float) -> None:
    counting.written(topic, said, now_us() / 1e6 - newest)


def cores(keys: Keys) -> Cores:
    """How a worker makes the core of a partition, by source topic."""
    verifier = CommandVerifier(keys.command_keys)
    return {
        EVENTS: lambda number: Join(number, keys.master),
        INBOX: lambda number: Detect(number, verifier, build=build()),
    }


class Worker:
    """Owner of partitions. One lock a topic covers a batch, and the first moment of a checkpoint."""

    def __init__(self, settings: Settings, keys: Keys, make: Cores):
        self.settings = settings
        self.keys = keys
        self.name = ids.boot_id()
        self.processed = 0  # records applied: what the watchdog watches
        self._make = make
        self._owned: dict[tuple[str, int], Owned] = {}
        self._locks = {topic: asyncio.Lock() for topic in self._make}
        self._underway = {topic: Underway() for topic in self._make}
        self._saver = Saver(self._owned, self._locks, self._underway)
        self._producer: AIOKafkaProducer | None = None
        self._publisher: Publisher | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def owns(self) -> bool:
        """Whether any partition is in our hands."""
        return bool(self._owned)

    def positions(self) -> dict[tuple[str, int], int]:
        """Where each owned partition goes on."""
        return {tp: owned.core.partition.offset + 1 for tp, owned in self._owned.items()}

    async def start(self) -> None:
        """Connect; must run in the loop that will run the batches."""
        if self._producer is not None:
            return
        common = {
            "bootstrap_servers": self.settings.bootstrap, "enable_idempotence": True,
            "acks": "all", "max_batch_size": 1 << 20,
        }  # fmt: skip
        self._producer = AIOKafkaProducer(**common)
        # Checkpoints repeat themselves and nobody waits for them: compressed, on a connection of their own.
        self._saver.producer = AIOKafkaProducer(**common, compression_type="lz4")
        await self._producer.start()
        await self._saver.producer.start()
        self._publisher = Publisher(self._producer, self.keys.signer("auto"), self.keys.master)
        self._tasks = [
            asyncio.create_task(task) for task in (self._tick(), self._live(), self._saver.often())
        ]
        for task in self._tasks:
            task.add_done_callback(_ended)

    async def stop(self) -> None:
        """Save what was applied and said, then close."""
        await self.revoke()
        # Not earlier: a save that is cancelled between two records would leave cells out of the next.
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for producer in (self._producer, self._saver.producer):
            if producer is not None:
                await producer.stop()

    # -- ownership -------------------------------------------------------------------------------

    async def assign(self, assigned: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Take partitions: restore each and announce it. Returns where to read on, by partition."""
        mine = sorted(tp for tp in assigned if tp[0] in self._make)
        started = time.monotonic()
        async with self._saver.at_rest(), self._all_locks():
            self._owned.clear()
            readers = await checkpoint.read(
                self.settings.bootstrap, {number for _, number in mine}, self.keys.state_key
            )
            begins = await self._beginnings(mine)
            for topic, number in mine:
                self._owned[topic, number] = await self._take(
                    topic, number, readers[number], begins
                )
        metrics.RESTORE_SECONDS.observe(time.monotonic() - started)
        return self.positions()

    async def _take(
        self, topic: str, number: int, reader: checkpoint.Reader, begins: dict[tuple[str, int], int]
    ) -> Owned:
        core = self._make[topic](number)
        saved = reader.saved(topic, number)
        if saved is not None:
            core.restore(saved.marker, saved.cells)
        self._pass(topic, core, begins[topic, number])
        term = await self._announce(topic, number)
        writer = Checkpoint(topic, number, self.keys.state_key, saved.slots if saved else None)
        return Owned(core, term, writer)

    async def _announce(self, topic: str, number: int) -> int:
        """Write the owner record; its offset is our term."""
        assert self._producer is not None
        owner = Owner(worker=self.name, build=build(), settings="")
        sent = await self._producer.send_and_wait(
            topic,
            value := codec.encode(owner),
            partition=number,
            headers=[(wire.KIND, codec.OWNER), (wire.MAC, self._owner_mac(topic, number, value))],
        )
        return int(sent.offset)

    async def _beginnings(self, mine: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
        async with reader(self.settings.bootstrap) as consumer:
            found = await consumer.beginning_offsets([TopicPartition(*tp) for tp in mine])
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def revoke(self) -> None:
        """Save once more, then forget everything; the first call comes before anything is owned."""
        if not self._owned:
            return
        await self._saver.save(everything=True)
        async with self._all_locks():
            self._owned.clear()

    @asynccontextmanager
    async def _all_locks(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for topic in sorted(self._locks):
                await stack.enter_async_context(self._locks[topic])
            yield

    # -- records ---------------------------------------------------------------------------------

    async def batch(self, topic: str, records: Iterable[Record]) -> None:
        """Apply records in order and hand what follows to the producer, before anything later is touched.

        Raises
        ------
        TooManyDeadLetters
            To the operator, by the end of this process. All that was set aside is acknowledged and
            saved, so the next start goes on after it: each costs a few lines, not the topic.
        """
        stopped = await self._batch(topic, records)
        if stopped is not None:
            await self._saver.save(everything=True)
            core = stopped.core
            raise stopped.limit.stop(topic, core.number, core.partition.offset)

    async def _batch(self, topic: str, records: Iterable[Record]) -> Owned | None:
        """Apply and publish; the partition, if any, of which too much could not be read."""
        async with self._locks[topic]:
            try:
                return await self._apply_and_say(topic, records)
            except BaseException:
                # Applied, and perhaps not said: no checkpoint may hold it, so it is all applied once more.
                for tp in [tp for tp in self._owned if tp[0] == topic]:
                    del self._owned[tp]
                raise

    async def _apply_and_say(self, topic: str, records: Iterable[Record]) -> Owned | None:
        assert self._publisher is not None
        await self._underway[topic].room()
        stopped: Owned | None = None
        applied: list[Record] = []
        outputs: dict[int, list[Output]] = {}  # by term
        taken: list[Owned] = []  # partitions whose inputs before our term are all applied
        for record in records:
            owned = self._owned.get((topic, record.partition))
            if owned is None or record.offset <= owned.core.partition.offset:
                continue  # not ours, or applied before
            if record.offset > owned.core.partition.offset + 1:
                owned.ahead = True  # what is due was lost on its way to us: see `lost`
                continue
            found = self._apply(owned, record)
            applied.append(record)
            if record.offset == owned.term:
                taken.append(owned)
            if found:
                outputs.setdefault(owned.term, []).extend(found)
            if owned.limit.reached:
                stopped = owned
                break
        for term, said in outputs.items():
            sent = await self._publisher.publish(said, term, now_us())
            heard = partial(_count, topic, said, applied[-1].timestamp)
            self._underway[topic].add(sent, heard)
        for owned in taken:
            standing = getattr(owned.core, "standing", {})
            await self._publisher.repeat(list(standing.values()), owned.term, now_us())
        counting.read(applied)
        return stopped

    async def lost(self, topic: str) -> dict[int, int]:
        """Where to read again, by partition: later records came, and what is due did not.

        What the log itself has lost is passed over and counted; else one record that went astray between
        broker and handler would stop its partition for good.
        """
        now = time.monotonic()
        behind = {
            tp: owned
            for tp, owned in self._owned.items()
            if tp[0] == topic and owned.ahead and now - owned.sought_at >= SEEK_SECONDS
        }
        if not behind:
            return {}
        begins = await self._beginnings(list(behind))
        async with self._locks[topic]:
            ours = {tp: owned for tp, owned in behind.items() if self._owned.get(tp) is owned}
            for tp, owned in ours.items():
                owned.ahead, owned.sought_at = False, now
                self._pass(topic, owned.core, begins[tp])
        return {tp[1]: owned.core.partition.offset + 1 for tp, owned in ours.items()}

    def _pass(self, topic: str, core: Core, begin: int) -> None:
        """Go on where the log begins, if that is later: what is gone is gone."""
        if core.partition.offset + 1 < begin:
            metrics.GAPS.labels(topic=topic).inc(begin - core.partition.offset - 1)
            core.partition.offset = begin - 1

    def _apply(self, owned: Owned, record: Record) -> Sequence[Output]:
        self._watch_owner(owned, record)
        found = owned.core.apply(record.offset, record.timestamp, record.headers, record.value)
        self.processed += 1
        owned.count.inc()
        if owned.fenced:
            return ()
        whose = wire.header(record.headers, wire.KID)
        owned.limit.take(*counted(record.headers, record.value, found), whose)
        return found

    def _watch_owner(self, owned: Owned, record: Record) -> None:
        if record.offset <= owned.term or wire.header(record.headers, wire.KIND) != codec.OWNER:
            return
        core = owned.core
        proof = self._owner_mac(core.topic, core.number, record.value)
        if not compare_digest(proof, wire.header(record.headers, wire.MAC)):
            return  # whoever may write into the topic is not therefore a worker
        if codec.owner(record.value).worker != self.name:
            owned.fenced = True

    def _owner_mac(self, topic: str, number: int, value: bytes) -> bytes:
        """Proof that an owner record is of a worker."""
        place = f"{topic}/{number}".encode()
        return hmac.digest(self.keys.state_key, packed(b"owner", place, value), "sha256")

    # -- time ------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Make time pass in every owned partition, by the broker's clock."""
        assert self._producer is not None
        while True:
            for topic, number in list(self._owned):
                # Not awaited: when the broker is away, one tick must not wait for another's answer.
                await self._producer.send(
                    topic, b"{}", partition=number, headers=[(wire.KIND, codec.TICK)]
                )
            await asyncio.sleep(TICK_SECONDS)

    async def _live(self) -> None:
        """Say of each inbox partition that it is decided on, while its records are applied."""
        assert self._publisher is not None
        applied: dict[int, int] = {}
        while True:
            for (topic, number), owned in list(self._owned.items()):
                if topic != INBOX or owned.fenced:
                    continue
                before, applied[number] = applied.get(number, -1), owned.core.partition.offset
                if applied[number] > before:  # ticks come twice a second
                    await self._publisher.alive(number, owned.term, now_us())
            await asyncio.sleep(life.EVERY_SECONDS)
