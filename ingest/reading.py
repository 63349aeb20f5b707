"""A consumer for reading topics from end to end, without a group, that is always closed again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

# aiokafka 0.14 now and then swallows the first cancellation of its fetcher and would wait for ever; the
# second one, which the timeout gives, ends it.
CLOSE_SECONDS = 3.0


@asynccontextmanager
async def reader(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer that commits nothing and begins at the beginning. Never hangs at the end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=32 << 20,
        max_partition_fetch_bytes=8 << 20,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), CLOSE_SECONDS)


async def whole(
    bootstrap: str, topic: str, partitions: int | Sequence[int], since_ms: int = 0
) -> AsyncIterator[ConsumerRecord]:
    """Every record that these partitions hold now (a number: the first so many), each in its order.

    With `since_ms`, only those that the broker took then (ms UTC) or later.
    """
    numbers = range(partitions) if isinstance(partitions, int) else partitions
    places = [TopicPartition(topic, number) for number in numbers]
    async with reader(bootstrap) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        if since_ms:
            found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
            for place, first in found.items():
                consumer.seek(place, ends[place] if first is None else first.offset)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record
