"""One suite for every transport: what the delivery may rely on."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from ingest.broker import Broker
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import read
from tests.sdk import CREDENTIAL
from tracefuse import wire
from tracefuse.envelopes import Envelope, Seal
from tracefuse.transports import KafkaTransport, Lost, MemoryTransport, Transport, Unsendable

SEAL = Seal(CREDENTIAL.kid, CREDENTIAL.envelope_key)
Row = tuple[int, bytes, list[tuple[str, bytes]]]


@dataclass
class Subject:
    """A transport and how to look at what it delivered."""

    make: Callable[[], Transport]
    delivered: Callable[[], list[Row]]


def _memory() -> Subject:
    transport = MemoryTransport()
    return Subject(
        lambda: transport,
        lambda: sorted(
            ((e.partition, e.value, e.headers()) for e in transport.sent), key=lambda row: row[0]
        ),
    )


def _kafka(broker: Broker) -> Subject:
    asyncio.run(provision(Settings(bootstrap=broker.bootstrap)))

    def delivered() -> list[Row]:
        records = asyncio.run(read(broker.bootstrap, wire.EVENTS))
        return [(r.partition, r.value, list(r.headers)) for r in records]

    return Subject(lambda: KafkaTransport(broker.bootstrap, "lz4"), delivered)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return _memory()
    broker: Broker = request.getfixturevalue("fresh_broker")
    return _kafka(broker)


def envelopes(count: int, size: int = 100) -> list[Envelope]:
    made = [
        Envelope(n % 3, b"%06d" % n + b"x" * size, 1, "boot", n, spooled=n % 5 == 0)
        for n in range(count)
    ]
    for envelope in made:
        SEAL.close(envelope)
    return made


def run(subject: Subject, script: Callable[[Transport], Awaitable[None]]) -> None:
    async def go() -> None:
        transport = subject.make()
        transport.start()
        try:
            await script(transport)
        finally:
            await transport.stop()

    asyncio.run(go())


def test_each_future_ends_when_the_envelope_has_arrived(subject: Subject) -> None:
    """All acknowledged, all there: value, partition and headers as they were given."""
    made = envelopes(20)

    async def script(transport: Transport) -> None:
        results = await asyncio.gather(*[transport.send(envelope) for envelope in made])
        assert results == [None] * 20

    run(subject, script)
    wanted = sorted(((e.partition, e.value, e.headers()) for e in made), key=lambda row: row[0])
    assert subject.delivered() == wanted


def test_a_partition_keeps_the_order_of_the_calls(subject: Subject) -> None:
    """However large the envelopes and however many at once."""
    made = envelopes(60, size=20_000)

    async def script(transport: Transport) -> None:
        await asyncio.gather(*[transport.send(envelope) for envelope in made])

    run(subject, script)
    for partition in range(3):
        own = [value for place, value, _ in subject.delivered() if place == partition]
        assert own == sorted(own)
        assert len(own) == 20


def test_the_largest_envelope_travels(subject: Subject) -> None:
    """900,000 bytes pass every limit that is called 1 MB."""
    large = Envelope(0, b"x" * 900_000, 1, "boot", 1)
    SEAL.close(large)

    async def script(transport: Transport) -> None:
        await transport.send(large)

    run(subject, script)
    assert [len(value) for _, value, _ in subject.delivered()] == [900_000]


def test_stopping_loses_nothing_silently(subject: Subject) -> None:
    """What was not acknowledged at the end has a future that says so."""
    made = envelopes(3)
    outcomes: list[asyncio.Future[None]] = []

    async def script(transport: Transport) -> None:
        if isinstance(transport, MemoryTransport):
            transport.down = True
        outcomes.extend(transport.send(envelope) for envelope in made)

    run(subject, script)
    arrived = [value for _, value, _ in subject.delivered()]
    for envelope, outcome in zip(made, outcomes, strict=True):
        assert outcome.done()
        assert isinstance(outcome.exception(), Lost) or envelope.value in arrived


@pytest.mark.kafka
def test_kafka_refuses_what_no_broker_takes(fresh_broker: Broker) -> None:
    """An envelope beyond the limit is unsendable; the ones around it arrive."""
    subject = _kafka(fresh_broker)
    small, huge = envelopes(2), Envelope(0, b"x" * 2_000_000, 1, "boot", 9)

    async def script(transport: Transport) -> None:
        first = transport.send(small[0])
        with pytest.raises(Unsendable, match="too_large"):
            await transport.send(huge)
        await asyncio.gather(first, transport.send(small[1]))

    run(subject, script)
    assert len(subject.delivered()) == 2


@pytest.mark.kafka
def test_a_producer_that_failed_for_good_is_made_anew(fresh_broker: Broker) -> None:
    """After a fatal error the envelope in hand is `Lost`, and the next ones arrive."""
    subject = _kafka(fresh_broker)
    made = envelopes(6)

    async def script(transport: Transport) -> None:
        assert isinstance(transport, KafkaTransport)
        await transport.send(made[0])
        producer = transport._producer
        assert producer is not None
        producer._message_accumulator.fail_all(RuntimeError("the sender died"))
        with pytest.raises(Lost):
            await transport.send(made[1])
        await asyncio.gather(*[transport.send(envelope) for envelope in made[2:]])
        assert transport._producer is not producer

    run(subject, script)
    assert len(subject.delivered()) == 5
