"""Who has named a wrong broker hears of it, once; the agent goes on."""

import asyncio
import logging
from itertools import count

import pytest
from aiokafka.errors import KafkaConnectionError

from tracefuse import transports
from tracefuse.transports import KafkaTransport


class Producer:
    """In place of Kafka's: only the third finds its broker, and the sixth gets no answer at all."""

    def __init__(self, number: int, enough: asyncio.Event) -> None:
        self.number, self.enough = number, enough

    async def start(self) -> None:
        if self.number == 6:
            self.enough.set()
            await asyncio.Event().wait()
        if self.number != 3:
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        """Nothing to let go of."""


def test_an_outage_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address, not at each try; and again after the broker had been there."""
    monkeypatch.setattr(transports, "RETRY_SECONDS", 0.0)

    async def play() -> None:
        transport, made, enough = KafkaTransport("127.0.0.1:1", None), count(1), asyncio.Event()
        monkeypatch.setattr(transport, "_make", lambda: Producer(next(made), enough))
        transport.start()
        await transport._up.wait()
        transport._broken.set()
        await enough.wait()
        await transport.stop()

    with caplog.at_level(logging.WARNING, "tracefuse"):
        asyncio.run(play())

    told = [record.getMessage() for record in caplog.records if "No Kafka" in record.getMessage()]
    assert told == ["No Kafka at 127.0.0.1:1 (KafkaConnectionError): events wait."] * 2
