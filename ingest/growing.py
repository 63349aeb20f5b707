"""A topic that agents listen to gets more partitions: what stands in it goes to where it is looked for now.

Belongs to `provision`, when an installation is newer than its topics. A stop that stood before stands
after it: it is copied as it was signed.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import InvalidPartitionsError, KafkaTimeoutError

from ingest.reading import whole
from ingest.topics import CONTROL, Topic
from tracefuse import life
from tracefuse.control import partition_of_scope

# The broker says that a partition is there before it tells producers of it: some milliseconds.
POLL_SECONDS, POLLS = 0.05, 200


async def grow(admin: AIOKafkaAdminClient, bootstrap: str, topic: Topic) -> None:
    """Give a topic the partitions of the catalogue. Raises the client's `KafkaError`."""
    # Somebody may be faster; what stands is copied by both, which changes nothing.
    with contextlib.suppress(InvalidPartitionsError):
        await admin.create_partitions({topic.name: NewPartitions(topic.partitions)})
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        await _known(producer, topic)
        if topic.name == CONTROL:
            await _carry(producer, bootstrap, topic)


async def _carry(producer: AIOKafkaProducer, bootstrap: str, topic: Topic) -> None:
    """Copy the newest record of each key whose place is another one now, and that nobody has said again."""
    strayed: dict[bytes, ConsumerRecord] = {}
    said: set[bytes] = set()
    async for record in whole(bootstrap, topic.name, topic.partitions):
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(life.PREFIX):
            continue  # each stays with the agents of its inbox partition
        if _place(key) == record.partition:
            said.add(record.key)
        else:
            strayed[record.key] = record
    for name, record in strayed.items():
        if name not in said and record.value is not None:
            place = _place(name.decode(errors="replace"))
            await producer.send_and_wait(
                topic.name, record.value, name, place, headers=list(record.headers)
            )


async def _known(producer: AIOKafkaProducer, topic: Topic) -> None:
    """Wait until the broker tells of all partitions."""
    for _ in range(POLLS):
        if len(await producer.partitions_for(topic.name)) >= topic.partitions:
            return
        await asyncio.sleep(POLL_SECONDS)
        await producer.client.force_metadata_update()
    raise KafkaTimeoutError(f"{topic.name} does not show its {topic.partitions} partitions")


def _place(key: str) -> int:
    return partition_of_scope(key.rpartition(":")[0])
