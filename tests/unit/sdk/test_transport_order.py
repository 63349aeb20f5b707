"""Order over a producer that fails: nothing overtakes what was lost."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from tracefuse.envelopes import Envelope
from tracefuse.transports import KafkaTransport, Lost


class Producer:
    """In place of Kafka's, which fails only when a disk is full: refuses, or takes everything."""

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses
        self.taken: list[int] = []

    async def send(self, topic: str, value: bytes, **_: Any) -> "asyncio.Future[None]":
        await asyncio.sleep(0)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.refuses:
            future.set_exception(KafkaError("the disk is full"))
        else:
            self.taken.append(int(value))
            future.set_result(None)
        return future


def test_what_was_sent_after_a_lost_envelope_is_lost_as_well() -> None:
    """The delivery repeats all of it in order; what is sent from then on goes to the next producer."""

    async def play() -> tuple[list[object], list[int], object]:
        transport = KafkaTransport("127.0.0.1:1", None)
        first, second = Producer(refuses=True), Producer(refuses=False)
        transport._producer = first
        transport._up.set()
        lost = [transport.send(Envelope(0, b"%d" % n, 1, "b", n)) for n in (1, 2, 3)]
        await asyncio.wait([lost[0]])
        assert transport._broken.is_set()
        transport._producer = second
        transport._broken.clear()
        outcomes = await asyncio.gather(*lost, return_exceptions=True)
        later = await asyncio.gather(
            transport.send(Envelope(0, b"4", 1, "b", 4)), return_exceptions=True
        )
        return list(outcomes), second.taken, later[0]

    outcomes, taken, later = asyncio.run(play())

    assert all(isinstance(outcome, Lost) for outcome in outcomes)
    assert (taken, later) == ([4], None)


def test_without_a_loss_all_arrive_in_order() -> None:
    """The control: a producer that takes everything gets everything."""

    async def play() -> list[int]:
        transport = KafkaTransport("127.0.0.1:1", None)
        producer = Producer(refuses=False)
        transport._producer = producer
        transport._up.set()
        sent = [transport.send(Envelope(0, b"%d" % n, 1, "b", n)) for n in (1, 2, 3)]
        await asyncio.gather(*sent)
        return producer.taken

    assert asyncio.run(play()) == [1, 2, 3]


@pytest.mark.parametrize("refuses", [True, False])
def test_an_envelope_alone(refuses: bool) -> None:
    """Refused it is lost, for the delivery to repeat; taken it is done."""

    async def play() -> object:
        transport = KafkaTransport("127.0.0.1:1", None)
        transport._producer = Producer(refuses)
        transport._up.set()
        (outcome,) = await asyncio.gather(
            transport.send(Envelope(0, b"1", 1, "b", 1)), return_exceptions=True
        )
        return outcome

    assert isinstance(asyncio.run(play()), Lost) == refuses
