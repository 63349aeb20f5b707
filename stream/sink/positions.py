"""Where the sink goes on after a handover: what ClickHouse holds, compared with what Kafka has."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.sink.intake import Stored
from stream.sink.rows import TABLES
from stream.sink.tables import Tables

log = logging.getLogger("tracefuse.sink")

# What a killed owner left on its way has landed when two readings so far apart agree.
SETTLE_SECONDS = 1.0

Ask = Callable[..., Awaitable[Any]]  # runs what blocks in a thread


class Unready(RuntimeError):
    """Not now: to the caller, who asks again."""


async def positions(
    consumer: AIOKafkaConsumer, tables: Tables, ask: Ask, tps: Collection[TopicPartition]
) -> dict[TopicPartition, tuple[Stored, int]]:
    """What is stored of each partition, and the offset to go on at.

    ClickHouse decides. Where it has no rows Kafka's committed offset serves, else the log's beginning.

    Raises
    ------
    Unready
        To the caller: the log ends before the rows do, so it is another log or not all of it is back.
    """
    stored = await _settled(tables, ask, tps)
    begins = await consumer.beginning_offsets(list(tps))
    ends = await consumer.end_offsets(list(tps))
    found = {}
    for tp in tps:
        at = stored[tp].offsets.get(TABLES[tp.topic], -1) + 1
        at = at or await consumer.committed(tp) or 0
        if at > ends[tp]:
            raise Unready(f"{tp} ends at {ends[tp]}, but {at - 1} is stored already")
        if 0 < at < begins[tp]:
            log.error("%s: Kafka no longer has offsets %d to %d.", tp, at, begins[tp] - 1)
        found[tp] = (stored[tp], max(at, begins[tp]))
    return found


async def _settled(
    tables: Tables, ask: Ask, tps: Collection[TopicPartition]
) -> dict[TopicPartition, Stored]:
    stored = await ask(_stored, tables, tps)
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        before, stored = stored, await ask(_stored, tables, tps)
        if stored == before:
            return {tp: stored[tp] for tp in tps}


def _stored(tables: Tables, tps: Collection[TopicPartition]) -> dict[TopicPartition, Stored]:
    found = {}
    for topic in {tp.topic for tp in tps}:
        numbers = [tp.partition for tp in tps if tp.topic == topic]
        for number, stored in tables.stored(topic, numbers).items():
            found[TopicPartition(topic, number)] = stored
    return found
