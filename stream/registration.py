"""Publishing agent files: into the compacted registry, and into the inbox that decides.

A file that is in force already, by its digest, is not published again.
"""

from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from ingest import codec
from ingest.reading import reader
from ingest.records import Registered
from ingest.registry import AgentFile
from ingest.settings import Settings
from ingest.topics import INBOX, PARTITIONS, REGISTRY
from tracefuse import wire


async def in_force(settings: Settings) -> dict[str, AgentFile]:
    """The newest published file of every agent, by ``tenant/agent``."""
    found: dict[str, AgentFile] = {}
    partitions = [TopicPartition(REGISTRY, number) for number in range(PARTITIONS)]
    async with reader(settings.bootstrap) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if record.value:
                        agent = msgspec.json.decode(record.value, type=AgentFile)
                        found[record.key.decode()] = agent
    return found


async def publish(settings: Settings, agents: Iterable[AgentFile]) -> int:
    """Bring agent files into force; returns how many were new. Idempotent."""
    known = await in_force(settings)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    published = 0
    try:
        for agent in agents:
            key = wire.agent_key(agent.tenant, agent.agent)
            if key in known and known[key].digest == agent.digest:
                continue
            partition = wire.partition_of(key)
            fact = Registered(record_id=f"{key}@{agent.version}:{agent.digest}", agent=agent)
            # The inbox first: the registry topic tells what the inbox has been told.
            await producer.send_and_wait(
                INBOX, codec.encode(fact), partition=partition,
                headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
            )  # fmt: skip
            await producer.send_and_wait(
                REGISTRY, msgspec.json.encode(agent), key=key.encode(), partition=partition,
                headers=[(wire.KIND, codec.REGISTRATIONS)],
            )  # fmt: skip
            published += 1
    finally:
        await producer.stop()
    return published
