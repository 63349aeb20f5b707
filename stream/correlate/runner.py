"""Correlate as a process: one partition, its checkpoint, and a consumer of its own. Plain aiokafka."""

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from ingest.keys import Keys
from ingest.settings import Settings
from ingest.topics import FLEET
from stream.correlate.correlate import Correlate
from stream.worker.worker import Cores, Record, Worker
from tracefuse.signing import CommandVerifier

GROUP = "tracefuse-correlate"
POLL_MS = 500  # it answers at once when there is something


def cores(keys: Keys) -> Cores:
    """How correlate makes its core."""
    verifier = CommandVerifier(keys.command_keys)
    return {FLEET: lambda number: Correlate(number, verifier)}


class _Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Takes the partition where its checkpoint says, whenever Kafka hands it over."""

    def __init__(self, consumer: AIOKafkaConsumer, worker: Worker):
        self._consumer, self._worker = consumer, worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._worker.revoke()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        starts = await self._worker.assign({(tp.topic, tp.partition) for tp in assigned})
        for (topic, number), offset in starts.items():
            self._consumer.seek(TopicPartition(topic, number), offset)


async def run(settings: Settings, keys: Keys) -> None:
    """Correlate until cancelled."""
    worker = Worker(settings, keys, cores(keys))
    await worker.start()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, group_id=GROUP, enable_auto_commit=False,
        auto_offset_reset="earliest", session_timeout_ms=12_000,
    )  # fmt: skip
    consumer.subscribe([FLEET], listener=_Ownership(consumer, worker))
    await consumer.start()
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                await worker.batch(
                    FLEET,
                    [
                        Record(r.partition, r.offset, r.timestamp / 1000, r.headers, r.value)
                        for r in records
                    ],
                )
    finally:
        await worker.stop()
        await consumer.stop()
