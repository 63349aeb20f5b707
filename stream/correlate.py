"""What is wider than one agent: incidents from trips and alarms. Pure core, and its small runner.

Thin for now: one incident for each. Shared causes and breakers of wide scopes will be decided here.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from ingest import codec, metrics
from ingest.keys import Keys
from ingest.keys import load as load_keys
from ingest.records import Incident, Src, Summary
from ingest.settings import Settings, from_environment
from ingest.topics import DLQ, FLEET, INCIDENTS
from stream.build import build
from stream.dead_letters import letter
from stream.outputs import Line
from stream.partition import Marker, Partition, Snapshot
from stream.worker import Record, Worker
from tracefuse import wire
from tracefuse.errors import DecodeError

log = logging.getLogger("tracefuse.correlate")

GROUP = "tracefuse-correlate"
_summary = msgspec.json.Decoder(Summary).decode


@dataclass(slots=True)
class Nothing:
    """No state by key yet: marks against replays are the partition's own."""

    deadline: float = inf
    last: int = 0


class Correlate:
    """Decisions of `agent.fleet.v1`, its one partition."""

    topic = FLEET

    def __init__(self, number: int = 0):
        self.number = number
        self.partition: Partition[Nothing] = Partition(
            lambda key: Nothing(), lambda state: b"", lambda data: Nothing(), keys_max=1
        )

    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> Sequence[Line]:
        """Incidents that follow from the next record."""
        self.partition.begin(offset, timestamp)
        if wire.header(headers, wire.KIND) != codec.SUMMARIES:
            return []
        found = []
        for number, line in enumerate(codec.lines(value)):
            src: Src = (FLEET, self.number, offset, number, 0)
            try:
                summary = _summary(line)
            except msgspec.MsgspecError as error:
                dead = letter(src, DecodeError("malformed", str(error)), line)
                found.append(Line(DLQ, f"{FLEET}/{self.number}", codec.DEAD, dead))
                continue
            if self.partition.accepts(summary.src):
                found.append(self._incident(src, summary))
        return found

    def _incident(self, src: Src, summary: Summary) -> Line:
        signal = summary.signal
        incident = Incident(
            src=src, incident_id=f"inc-{src[2]}.{src[3]}", tenant=signal.tenant,
            agent_id=signal.agent_id, severity=signal.severity,
            title=f"{signal.detector} {signal.action}: {signal.agent_id}", sentence=signal.sentence,
            detector=signal.detector, action=signal.action, scope=signal.scope,
            cmd_id=signal.cmd_id, trace_id=signal.trace_id, signal_id=signal.signal_id,
            first_event=signal.first_event, last_event=signal.last_event, owner=summary.owner,
            routes=summary.routes, opened_at=round(self.partition.now, 3),
        )  # fmt: skip
        return Line(INCIDENTS, incident.incident_id, codec.INCIDENTS, codec.encode(incident))

    def freeze(self) -> Snapshot:
        return self.partition.freeze()

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        self.partition.restore(marker, cells)


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
    worker = Worker(settings, keys, {FLEET: Correlate})
    await worker.start()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, group_id=GROUP, enable_auto_commit=False,
        auto_offset_reset="earliest", session_timeout_ms=12_000, fetch_max_wait_ms=100,
    )  # fmt: skip
    consumer.subscribe([FLEET], listener=_Ownership(consumer, worker))
    await consumer.start()
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
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


def main() -> None:
    """Entry of ``tracefuse correlate``."""
    logging.basicConfig(level=logging.INFO)
    settings = from_environment()
    metrics.serve(settings, "correlate", build())
    try:
        asyncio.run(run(settings, load_keys(settings.keys_folder)))
    except KeyboardInterrupt:
        pass
    except Exception:
        log.exception("Correlate ends; the supervisor starts it again at its checkpoint.")
        os._exit(70)


if __name__ == "__main__":
    main()
