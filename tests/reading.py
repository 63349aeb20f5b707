"""What a topic holds, for tests and benchmarks that compare it with what was sent."""

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from tracefuse import events


async def read(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """All records that a topic holds now, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = await consumer._client._wait_on_metadata(topic)
        partitions = [TopicPartition(topic, number) for number in numbers]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        records: list[ConsumerRecord] = []
        while len(records) < sum(ends.values()):
            for some in (await consumer.getmany(timeout_ms=1000)).values():
                records += some
    finally:
        await consumer.stop()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def lines(records: list[ConsumerRecord]) -> list[tuple[int, events.Event]]:
    """Partition and event of each line of envelopes, in their order."""
    return [
        (record.partition, events.decode(line))
        for record in records
        for line in record.value.split(b"\n")
    ]
