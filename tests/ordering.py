"""Commands on a real broker, for tests of what people order: written by hand, and read back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from ingest.keys import Keys
from ingest.settings import Settings
from ingest.topics import CONTROL
from stream.people import orders
from tracefuse import control
from tracefuse.control import Command


async def write(settings: Settings, command: Command, keys: Keys, author: str) -> None:
    """Put a command on the control topic, signed by the key of `author`."""
    key, payload, headers = orders.sealed(command, keys.signer(author))
    place = control.partition_of_scope(command.scope)
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        await producer.send_and_wait(
            CONTROL, payload, key.encode(), partition=place, headers=headers
        )


async def records(
    settings: Settings, topic: str, partition: int, key: str = ""
) -> list[ConsumerRecord]:
    """All records of a partition, or those of one key."""
    place = TopicPartition(topic, partition)
    found: list[ConsumerRecord] = []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        while await consumer.position(place) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += batch
    finally:
        await consumer.stop()
    return [record for record in found if not key or record.key == key.encode()]


async def standing(settings: Settings, scope: str, author: str) -> Command | None:
    """The newest control record of a scope."""
    key = control.control_key(scope, author)
    found = await records(settings, CONTROL, control.partition_of_scope(scope), key)
    return control.decode(found[-1].value) if found else None


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 60.0))
