"""The way of envelopes over one producer's life: one request to a broker at a time, oldest first.

    transport ──put──► waiting, by partition ──pump──► batch ──request──► the futures of its envelopes

Kafka's client opens the connection and gives the producer its number; it could send, too, but it wakes
two tasks and makes three futures for each record. A process that acts for a moment every 40 ms pays for
each line of code that it has not run just now: this way costs a quarter less. A batch keeps its number
until the broker has it, so one that is sent twice counts once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidMessageError,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tracefuse.envelopes import Envelope
from tracefuse.wire import EVENTS

# The largest Kafka batch: an envelope of 900 kB travels alone, small ones together.
BATCH_BYTES = 262_144
# A larger envelope no broker takes.
REQUEST_BYTES = 1_000_000
# A connection on which nothing answers for so long is given up and made anew (default: 40 s).
REQUEST_MS = 10_000
# Between two tries of what the broker refused for now.
AGAIN_SECONDS = 0.1
_MAGIC = 2
_ALL = -1  # acknowledged by all replicas in sync
_SEQUENCES = 2**31  # then they begin at 0 again

_TOO_LARGE = (MessageSizeTooLargeError, InvalidMessageError)

Waiting = tuple[Envelope, "asyncio.Future[None]"]


class Lost(Exception):
    """The envelope did not arrive this time; it may on another try. To the delivery."""


class Unsendable(Exception):
    """The broker will never take this envelope. To the delivery, which drops and counts it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Batch(NamedTuple):
    """Envelopes of one partition as the broker gets them, however often."""

    partition: int
    data: bytes
    held: list[Waiting]


class Lane:
    """Sends envelopes over a started producer until that fails for good.

    Parameters
    ----------
    producer
        Idempotent, started, and with the topic's partitions known. Nobody else sends over it.
    codec
        Number of the compression in Kafka's format; 0 for none.
    failed
        Called once, with the error after which the producer's numbers have a hole: nothing may be sent
        over it any more. It has to `close` the lane.
    """

    def __init__(
        self, producer: AIOKafkaProducer, codec: int, failed: Callable[[Exception], None]
    ) -> None:
        self._producer, self._codec, self._failed = producer, codec, failed
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, deque[Waiting]] = {}
        self._under_way: dict[int, _Batch] = {}  # by partition: sent and not acknowledged
        self._again: dict[int, _Batch] = {}  # by partition: to be sent again, before what waits
        self._sequences: dict[int, int] = {}
        self._busy: dict[int, asyncio.Task[None]] = {}  # by broker: the request that it answers
        self._soon = False  # the pump runs in the next turn of the loop
        self._later: asyncio.TimerHandle | None = None
        self._closed = False

    def put(self, envelope: Envelope, future: "asyncio.Future[None]") -> None:
        """Take an envelope; `future` ends as `Transport.send` says."""
        if len(envelope.value) >= REQUEST_BYTES:
            future.set_exception(Unsendable("too_large"))
            return
        self._waiting.setdefault(envelope.partition, deque()).append((envelope, future))
        self._rouse()

    def close(self) -> None:
        """End; what is not acknowledged is lost, the oldest of each partition first."""
        if self._closed:
            return
        self._closed = True
        if self._later is not None:
            self._later.cancel()
        for task in self._busy.values():
            task.cancel()
        for batch in (*self._under_way.values(), *self._again.values()):
            _lose(batch.held)
        for waiting in self._waiting.values():
            _lose(waiting)

    def _rouse(self) -> None:
        if not self._soon:  # what comes until the pump has its turn travels together
            self._soon = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """A request to each broker that is free and for which something waits."""
        self._soon = False
        if self._closed:
            return
        requests: dict[int, list[_Batch]] = {}
        for partition in {**self._again, **self._waiting}:
            if partition in self._under_way:
                continue
            broker = self._producer.client.cluster.leader_for_partition(
                TopicPartition(EVENTS, partition)
            )
            if broker is None or broker < 0:
                self._seek_leader()
            elif broker not in self._busy:
                batch = self._again.pop(partition, None) or self._batch(partition)
                if batch is not None:
                    self._under_way[partition] = batch
                    requests.setdefault(broker, []).append(batch)
        for broker, batches in requests.items():
            self._busy[broker] = self._loop.create_task(self._request(broker, batches))

    def _seek_leader(self) -> None:
        if self._later is None:
            self._producer.client.force_metadata_update()
            self._later = self._loop.call_later(AGAIN_SECONDS, self._sought)

    def _sought(self) -> None:
        self._later = None
        self._rouse()

    def _batch(self, partition: int) -> _Batch | None:
        """As many of the oldest as go into one; None where nobody waits for them any more."""
        waiting, held = self._waiting[partition], list[Waiting]()
        numbers = self._producer._txn_manager  # no public way tells the producer's number
        builder = DefaultRecordBatchBuilder(
            _MAGIC,
            self._codec,
            is_transactional=0,
            producer_id=numbers.producer_id,
            producer_epoch=numbers.producer_epoch,
            base_sequence=self._sequences.get(partition, 0),
            batch_size=BATCH_BYTES,
        )
        while waiting:
            envelope, future = waiting[0]
            if not future.done():
                added = builder.append(
                    len(held), None, key=None, value=envelope.value, headers=envelope.headers()
                )
                if added is None:
                    break  # full
                held.append(waiting[0])
            waiting.popleft()
        if not waiting:
            del self._waiting[partition]
        return _Batch(partition, bytes(builder.build()), held) if held else None

    async def _request(self, broker: int, batches: list[_Batch]) -> None:
        request = ProduceRequest(
            transactional_id=None,
            required_acks=_ALL,
            timeout=REQUEST_MS,
            topics=[(EVENTS, [(batch.partition, batch.data) for batch in batches])],
        )
        errors: dict[int, Exception | None]
        try:
            response = await self._producer.client.send(broker, request)
            errors = {
                row[0]: _error(row[1]) for _, partitions in response.topics for row in partitions
            }
        except Exception as error:
            errors = {batch.partition: error for batch in batches}
        for batch in batches:
            self._settle(batch, errors.get(batch.partition, KafkaError("no word of a partition")))
        if not self._closed and any(batch.partition in self._again for batch in batches):
            await asyncio.sleep(AGAIN_SECONDS)
        del self._busy[broker]
        if self._waiting or self._again:
            self._rouse()

    def _settle(self, batch: _Batch, error: Exception | None) -> None:
        if self._closed:
            return  # another one of the request has failed for good, and all were told
        if error is None:
            after = self._sequences.get(batch.partition, 0) + len(batch.held)
            self._sequences[batch.partition] = after % _SEQUENCES
            for _, future in batch.held:
                if not future.done():
                    future.set_result(None)
        elif isinstance(error, _TOO_LARGE):
            for _, future in batch.held:
                if not future.done():
                    future.set_exception(Unsendable("too_large"))
        elif getattr(error, "retriable", False):
            if getattr(error, "invalid_metadata", False):
                self._producer.client.force_metadata_update()
            self._again[batch.partition] = batch
        else:
            self._failed(error)
            return
        del self._under_way[batch.partition]


def _lose(held: Iterable[Waiting]) -> None:
    for _, future in held:
        if not future.done():
            future.set_exception(Lost("the producer was given up"))


def _error(code: int) -> Exception | None:
    kind = for_code(code)
    return None if kind in (NoError, DuplicateSequenceNumber) else kind()
