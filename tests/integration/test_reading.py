"""Reading a topic from end to end, or from a time on, on a real broker."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from ingest.keys import Keys
from ingest.reading import whole
from ingest.settings import Settings
from ingest.topics import APPROVALS, PARTITIONS
from tracefuse.clock import now_us

pytestmark = pytest.mark.kafka

FUTURE_MS = 86_400_000


def test_a_topic_is_read_from_a_time_on(stack: tuple[Settings, Keys]) -> None:
    """By the broker's time, in every partition; what lies before is not fetched, and an end is an end."""
    settings, _ = stack

    async def read(since_ms: int = 0) -> list[bytes | None]:
        found = whole(settings.bootstrap, APPROVALS, PARTITIONS, since_ms)
        return sorted([record.value async for record in found], key=str)

    async def play() -> None:
        async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
            for number in (0, 1):
                await producer.send_and_wait(APPROVALS, b"old", partition=number)
            await asyncio.sleep(0.05)
            later_ms = now_us() // 1000
            await asyncio.sleep(0.05)
            for number in (1, 2):
                await producer.send_and_wait(APPROVALS, b"new", partition=number)

        assert await read() == [b"new", b"new", b"old", b"old"]
        assert await read(later_ms) == [b"new", b"new"]
        assert await read(later_ms + FUTURE_MS) == []

    asyncio.run(play())
