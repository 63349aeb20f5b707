"""How envelopes leave the process: Kafka, or a list in memory for tests.

A transport takes envelopes in order and answers each with a future, which is done when the broker
has it. It never gives up on an envelope while the broker is away: the delivery decides when to spool.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatch

from tracefuse.envelopes import Envelope
from tracefuse.lane import REQUEST_MS, Lane, Lost, Waiting
from tracefuse.wire import EVENTS

# First and longest pause between two tries to reach the broker.
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 2.0
_CODECS = {None: 0, "lz4": DefaultRecordBatch.CODEC_LZ4}
STOP_SECONDS = 2.0

_log = logging.getLogger("tracefuse")
# An agent that configured no logging must not see the client's retries on its terminal.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


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
        self._lane: Lane | None = None
        self._waiting: list[Waiting] = []  # in order, until there is a lane
        self._broken = asyncio.Event()
        self._refusing = False  # what was lost is being told
        self._life: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._life = asyncio.get_running_loop().create_task(self._live())

    def send(self, envelope: Envelope) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._refusing:
            future.set_exception(Lost("an earlier envelope was lost"))
        elif self._lane is not None:
            self._lane.put(envelope, future)
        else:
            self._waiting.append((envelope, future))
        return future

    async def stop(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait([self._life], timeout=2 * STOP_SECONDS)
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(Lost("stopped"))

    def _open(self, producer: AIOKafkaProducer) -> None:
        """What waits leaves over a producer that is up."""
        lane = self._lane = Lane(producer, _CODECS[self._compression], self._fail)
        waiting, self._waiting = self._waiting, []
        for envelope, future in waiting:
            if not future.done():
                lane.put(envelope, future)

    def _fail(self, error: Exception) -> None:
        """An idempotent producer that lost a batch cannot go on: its numbers have a hole."""
        _log.debug("The Kafka producer failed: %r.", error)
        self._broken.set()
        self._shut()

    def _shut(self) -> None:
        lane, self._lane = self._lane, None
        if lane is not None:
            # What is sent from now on must not overtake what was lost: the delivery hears of the loss in
            # the loop's next turn, and repeats all of it, in order.
            self._refusing = True
            lane.close()
            asyncio.get_running_loop().call_soon(self._told)

    def _told(self) -> None:
        self._refusing = False

    async def _live(self) -> None:
        """Keep a producer: make one, wait until it is broken, make the next."""
        pause, told = RETRY_SECONDS, False
        while True:
            producer = self._make()
            try:
                await producer.start()
                await producer.partitions_for(EVENTS)
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
            pause, told = RETRY_SECONDS, False
            self._broken.clear()
            self._open(producer)
            try:
                await self._broken.wait()
                _log.warning("The Kafka producer failed and is made anew.")
            finally:
                self._shut()
                await _discard(producer)
            await asyncio.sleep(RETRY_SECONDS)

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
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
