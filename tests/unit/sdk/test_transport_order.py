"""Order over a broker that refuses: nothing overtakes what was lost, what is sent twice counts once."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.record.memory_records import MemoryRecords

from tracefuse import lane
from tracefuse.envelopes import Envelope
from tracefuse.lane import Lost, Unsendable
from tracefuse.transports import KafkaTransport
from tracefuse.wire import EVENTS

FATAL, TOO_LARGE, NO_LEADER, DUPLICATE = 45, 10, 6, 46  # codes of Kafka's protocol
_BASE_SEQUENCE = 53  # its place in a batch


class Producer:
    """In place of Kafka's: one broker, which meets each batch with the next of some errors."""

    def __init__(self, *errors: int | KafkaError, leader: int | None = 1) -> None:
        self.errors = list(errors)
        self.leader = leader
        self.taken: list[int] = []
        self.batches: list[bytes] = []
        self.sought = 0
        self.client = self.cluster = self
        self._txn_manager = SimpleNamespace(producer_id=7, producer_epoch=0)

    @property
    def sequences(self) -> list[int]:
        return [struct.unpack_from(">i", batch, _BASE_SEQUENCE)[0] for batch in self.batches]

    def leader_for_partition(self, _: object) -> int | None:
        return self.leader

    def force_metadata_update(self) -> None:
        self.sought, self.leader = self.sought + 1, 1

    async def send(self, _: int, request: Any) -> SimpleNamespace:
        await asyncio.sleep(0)
        rows = []
        for number, data in request._topics[0][1]:
            self.batches.append(data)
            error = self.errors.pop(0) if self.errors else 0
            if isinstance(error, KafkaError):
                raise error
            if error in (0, DUPLICATE):
                self.taken += [int(record.value) for record in MemoryRecords(data).next_batch()]
            rows.append((number, error, 0, -1, 0))
        return SimpleNamespace(topics=[(EVENTS, rows)])


def envelope(number: int, partition: int = 0) -> Envelope:
    return Envelope(partition, b"%d" % number, 1, "b", number)


def played(
    producer: Producer, script: Callable[[KafkaTransport], Awaitable[list[object]]]
) -> list[object]:
    """What a script gets of a transport over a producer."""

    async def play() -> list[object]:
        transport = KafkaTransport("127.0.0.1:1", None)
        transport._open(producer)
        return await script(transport)

    return asyncio.run(asyncio.wait_for(play(), 20.0))


async def one_by_one(transport: KafkaTransport) -> list[object]:
    """Three envelopes, each sent once the one before has ended."""
    found: list[object] = []
    for number in (1, 2, 3):
        found += await asyncio.gather(transport.send(envelope(number)), return_exceptions=True)
    return found


async def together(transport: KafkaTransport) -> list[object]:
    """Three envelopes; the second and the third are asked for while the first is under way."""
    sent = [transport.send(envelope(1))]
    await asyncio.sleep(0)
    sent += [transport.send(envelope(number)) for number in (2, 3)]
    return list(await asyncio.gather(*sent, return_exceptions=True))


def test_what_was_sent_after_a_lost_envelope_is_lost_as_well() -> None:
    """The delivery repeats all of it in order; what is sent from then on goes to the next producer."""
    first, second = Producer(FATAL), Producer()

    async def script(transport: KafkaTransport) -> list[object]:
        outcomes = await together(transport)
        assert transport._broken.is_set()
        later = transport.send(envelope(4))
        await asyncio.sleep(0)
        transport._open(second)
        return [*outcomes, *await asyncio.gather(later)]

    *outcomes, later = played(first, script)

    assert all(isinstance(outcome, Lost) for outcome in outcomes)
    assert (len(outcomes), later, first.taken, second.taken) == (3, None, [], [4])


def test_nothing_is_taken_until_the_delivery_has_heard_of_a_loss() -> None:
    """An envelope that comes in the very turn of the loss would overtake what is repeated."""
    second = Producer()

    async def script(transport: KafkaTransport) -> list[object]:
        transport._fail(RuntimeError("a hole"))
        transport._open(second)
        early = transport.send(envelope(1))
        await asyncio.sleep(0)
        late = transport.send(envelope(2))
        return list(await asyncio.gather(early, late, return_exceptions=True))

    early, late = played(Producer(), script)
    assert isinstance(early, Lost)
    assert (late, second.taken) == (None, [2])


@pytest.mark.parametrize("script", [one_by_one, together])
@pytest.mark.parametrize(
    "errors", [(), (NO_LEADER,), (KafkaConnectionError("gone"),), (DUPLICATE,), (0, NO_LEADER)]
)
def test_all_arrive_in_order(
    script: Any, errors: tuple[int | KafkaError, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the broker refuses for now is sent again, the same bytes, before anything newer."""
    monkeypatch.setattr(lane, "AGAIN_SECONDS", 0.001)
    producer = Producer(*errors)

    assert played(producer, script) == [None, None, None]
    assert producer.taken == [1, 2, 3]
    again = len(producer.batches) - len(set(producer.batches))
    assert again == sum(error not in (0, DUPLICATE) for error in errors)
    assert sorted(set(producer.sequences)) == ([0, 1, 2] if script is one_by_one else [0, 1])


def test_what_no_broker_takes_leaves_no_hole() -> None:
    """It ends as unsendable, and the next batch gets its number, so the producer goes on."""
    producer = Producer(0, TOO_LARGE)
    first, second, third = played(producer, one_by_one)

    assert (first, third, producer.taken) == (None, None, [1, 3])
    assert isinstance(second, Unsendable)
    assert producer.sequences == [0, 1, 1]


def test_a_partition_without_a_leader_waits_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The leader is sought, and what waited leaves once there is one."""
    monkeypatch.setattr(lane, "AGAIN_SECONDS", 0.001)
    producer = Producer(leader=None)

    assert played(producer, together) == [None, None, None]
    assert (producer.taken, producer.sought) == ([1, 2, 3], 1)


def test_a_request_carries_all_partitions_at_once() -> None:
    """What comes in one turn of the loop travels together: a batch for each partition."""
    producer = Producer()

    async def script(transport: KafkaTransport) -> list[object]:
        sent = [transport.send(envelope(n, partition=n % 3)) for n in range(9)]
        return list(await asyncio.gather(*sent))

    assert played(producer, script) == [None] * 9
    assert producer.taken == [0, 3, 6, 1, 4, 7, 2, 5, 8]
    assert len(producer.batches) == 3


def test_stopped_it_says_of_each_envelope_that_it_is_lost() -> None:
    """Also of what was never sent; nobody waits for ever."""

    async def script(transport: KafkaTransport) -> list[object]:
        sent = [transport.send(envelope(n)) for n in (1, 2)]
        transport._shut()
        await transport.stop()
        return list(await asyncio.gather(*sent, return_exceptions=True))

    assert all(isinstance(outcome, Lost) for outcome in played(Producer(), script))
