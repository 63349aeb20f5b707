"""How envelopes leave the process: Kafka, or a list in memory for tests.

A transport takes envelopes in order and answers each with a future, which is done when the broker
has it. It never gives up on an envelope while the broker is away: the delivery decides when to spool.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidMessageError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
)

from tracefuse.envelopes import Envelope
from tracefuse.wire import EVENTS

# A connection on which nothing answers for so long is given up and made anew (default: 40 s).
REQUEST_MS = 10_000
# First and longest pause between two tries to reach the broker.
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 2.0
# The largest Kafka batch: an envelope of 900 kB travels alone, small ones together.
BATCH_BYTES = 262_144
REQUEST_BYTES = 1_000_000
STOP_SECONDS = 2.0

_log = logging.getLogger("tracefuse")
# An agent that configured no logging must not see the client's retries on its terminal.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


class Lost(Exception):
    """The envelope did not arrive this time; it may on another try. To the delivery."""


class Unsendable(Exception):
    """The broker will never take this envelope. To the delivery, which drops and counts it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport(Protocol):
    """What the delivery needs. All methods are called on the background thread's loop."""

    def start(self) -> None:
        """Begin to connect; returns at once."""

    def send(self, envelope: Envelope) -> "asyncio.Future[None]":
        """Take an envelope; envelopes of one partition arrive in the order of these calls.

        The future ends with None once the broker has it, with `Lost`, or with `Unsendable`.
        """

    async def stop(self) -> None:
        """Let go of the broker; what is not acknowledged ends with `Lost`. At most 2 s."""


class MemoryTransport:
    """Keeps what was sent in a list; for tests and examples.

    While `down` is True it behaves like a broker that is away: futures wait until `heal`.
    """

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.down = False
        self._waiting: list[tuple[Envelope, asyncio.Future[None]]] = []

    def start(self) -> None:
        """Nothing to connect to."""

    def send(self, envelope: Envelope) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((envelope, future))
        if not self.down:
            self.heal()
        return future

    def heal(self) -> None:
        """The broker is back: all that waited arrives, in order."""
        self.down = False
        waiting, self._waiting = self._waiting, []
        for envelope, future in waiting:
            self.sent.append(envelope)
            if not future.done():
                future.set_result(None)

    async def stop(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(Lost("stopped"))


class KafkaTransport:
    """An idempotent Kafka producer that is made anew when it fails for good.

    Parameters
    ----------
    bootstrap
        Kafka's address, host:port.
    compression
        ``lz4`` or None.
    options
        Further options of the client, for example of SASL and TLS.

    Notes
    -----
    Idempotent with acks=all: with the defaults a 60 s outage lost a quarter of the events.
    """

    def __init__(
        self, bootstrap: str, compression: str | None, options: Mapping[str, Any] | None = None
    ) -> None:
        self._bootstrap = bootstrap
        self._compression = compression
        self._options = dict(options or {})
        self._producer: AIOKafkaProducer | None = None
        self._up = asyncio.Event()
        self._broken = asyncio.Event()
        self._life_number = 0  # rises when a producer has lost an envelope
        # Futures of tasks that wait for it resume in order, so envelopes keep theirs.
        self._order = asyncio.Lock()
        self._life: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unacked: set[asyncio.Future[Any]] = set()

    def start(self) -> None:
        self._life = asyncio.get_running_loop().create_task(self._live())

    def send(self, envelope: Envelope) -> "asyncio.Future[None]":
        task = asyncio.get_running_loop().create_task(self._deliver(envelope, self._life_number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life], timeout=2 * STOP_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)

    async def _deliver(self, envelope: Envelope, life_number: int) -> None:
        producer = None
        try:
            async with self._order:
                await self._up.wait()
                if life_number != self._life_number:
                    # What was asked for after it must not overtake what was lost: the delivery repeats
                    # all of it, in order.
                    raise Lost("an earlier envelope was lost")
                producer = self._producer
                assert producer is not None
                acked = await self._taken(producer, envelope)
            self._unacked.add(acked)
            try:
                await acked
            finally:
                self._unacked.discard(acked)
        except (MessageSizeTooLargeError, InvalidMessageError) as error:
            raise Unsendable("too_large") from error
        except Lost:
            raise
        except asyncio.CancelledError:
            raise Lost("stopped") from None
        except Exception as error:
            # An idempotent producer that lost a batch cannot go on: its numbers have a hole.
            if producer is self._producer and not self._broken.is_set():
                self._life_number += 1
                self._broken.set()
            raise Lost(repr(error)) from error

    async def _taken(self, producer: AIOKafkaProducer, envelope: Envelope) -> "asyncio.Future[Any]":
        """Hand it to the producer, however long that has no room.

        Nothing was lost by then. A producer made anew would send again, under another id, what a
        broker that hung finds in its socket when it goes on: each of these would stand there twice.
        """
        while True:
            try:
                acked: asyncio.Future[Any] = await producer.send(
                    EVENTS,
                    envelope.value,
                    partition=envelope.partition,
                    headers=envelope.headers(),
                )
                return acked
            except KafkaTimeoutError:
                if producer is not self._producer:
                    raise

    async def _live(self) -> None:
        """Keep a producer: make one, wait until it is broken, make the next."""
        pause, told = RETRY_SECONDS, False
        while True:
            producer = self._make()
            try:
                await producer.start()
            except asyncio.CancelledError:
                await _discard(producer)
                raise
            except Exception as error:
                # Once an outage: who forgot TRACEFUSE_BOOTSTRAP would see nothing at all.
                _log.log(
                    logging.DEBUG if told else logging.WARNING,
                    "No Kafka at %s (%s): events wait.", self._bootstrap, type(error).__name__,
                )  # fmt: skip
                told = True
                await _discard(producer)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS_MAX)
                continue
            self._producer, pause, told = producer, RETRY_SECONDS, False
            self._broken.clear()
            self._up.set()
            try:
                await self._broken.wait()
                _log.warning("The Kafka producer failed and is made anew.")
            finally:
                self._up.clear()
                self._producer = None
                await _discard(producer)
                for acked in self._unacked:
                    if not acked.done():
                        acked.set_exception(Lost("the producer was given up"))
            await asyncio.sleep(RETRY_SECONDS)

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,  # the packer has collected already
            compression_type=self._compression,
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
            request_timeout_ms=REQUEST_MS,
            **self._options,
        )


async def _discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer, and its sender even if it cannot deliver what it still holds."""
    try:
        await asyncio.wait_for(producer.stop(), STOP_SECONDS)
        return
    except (TimeoutError, KafkaError, OSError):
        pass
    # No public way ends a sender that waits for a broker; left alone it would send twice, later.
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    await producer.client.close()
    if sender is not None:
        await asyncio.wait([sender], timeout=STOP_SECONDS)
