"""A sink as most are written first: Kafka's commits tell the position, and inserts bear no token.

The control of the sink's fault tests, run as ``python -m tests.faults.naive_sink``: it must fail them.
"""

import asyncio
import random

from aiokafka import AIOKafkaConsumer

from ingest import keys
from ingest.settings import from_environment
from stream.sink import rows
from stream.sink.columns import Block
from stream.sink.tables import Tables
from tracefuse import wire


async def main() -> None:
    settings = from_environment()
    master = keys.load(settings.keys_folder).master
    tables = Tables(settings)
    consumer = AIOKafkaConsumer(
        wire.EVENTS, bootstrap_servers=settings.bootstrap, group_id="naive-sink",
        group_instance_id="naive", auto_offset_reset="earliest", auto_commit_interval_ms=1000,
    )  # fmt: skip
    number = 0
    async with consumer:
        while True:
            polled = await consumer.getmany(timeout_ms=100, max_records=random.randint(20, 200))
            for tp, records in polled.items():
                block = Block("events", tp.topic, tp.partition)
                for record in records:
                    for row in rows.read(
                        tp.topic, tp.partition, record.headers, record.value, master
                    ):
                        if isinstance(row, rows.Row):
                            block.add(row, record.offset, record.timestamp)
                number += 1
                token = f"{random.getrandbits(64):x}-{number}"
                await asyncio.to_thread(tables.insert, block, token)


if __name__ == "__main__":
    asyncio.run(main())
