"""How commands reach the gate: a consumer of the control topic beside the producer, on the same loop.

Reads the compacted topic from its beginning, then follows it. Belongs to no consumer group: every
process of an agent hears every command that may bind it. While the broker is away the gate keeps what
it knows.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from tracefuse import clock, life
from tracefuse.answers import Answers
from tracefuse.gate import Changed, Gate, Rejected
from tracefuse.wire import CONTROL, KID, KID2, REGISTRY, SIG, SIG2, VERDICTS, header

# The broker answers a fetch at once when there is something; this is how long it waits for it.
POLL_MS = 5_000
# How often it is looked at whether the first snapshot is complete.
SNAPSHOT_MS = 1_000
REQUEST_MS = 10_000
RETRY_SECONDS = 0.2
RETRY_SECONDS_MAX = 2.0
STOP_SECONDS = 2.0

_log = logging.getLogger("tracefuse")


class CommandReader:
    """Follows the partitions of the control topic that may bind this agent, and tells what changed.

    Parameters
    ----------
    gate
        Judges every record.
    answers
        Takes verdicts and the agent's own file.
    tell
        Told each change or rejection, with the moment (µs UTC) it came into force.
    positions
        By partition, the offset to go on from; written by this reader. A forked child goes on where
        its parent was, with what the parent's gate knew.
    options
        Further options of the Kafka client.
    """

    def __init__(
        self,
        bootstrap: str,
        gate: Gate,
        tell: Callable[[Changed | Rejected, int], None],
        answers: Answers,
        positions: dict[int, int],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._bootstrap, self._gate, self._tell = bootstrap, gate, tell
        self._answers = answers
        self._positions = positions
        self._answered: int | None = None  # offset of the next verdict; None before the first one
        self._numbers = gate.partitions
        self._options = dict(options or {})

    async def run(self) -> None:
        """Until cancelled; a lost broker is sought again."""
        self._gate.life.begin(clock.monotonic())
        pause = RETRY_SECONDS
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=POLL_MS,
                consumer_timeout_ms=POLL_MS,  # its fetcher looks for work each 0.2 s unless told otherwise
                request_timeout_ms=REQUEST_MS,
                **self._options,
            )
            try:
                await consumer.start()
                pause = RETRY_SECONDS
                await self._follow(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.debug("No commands from %s: %r.", self._bootstrap, error)
            except Exception:
                _log.exception("The reader of commands failed and begins anew.")
            finally:
                self._answers.held.listening = False
                await _stop(consumer)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_SECONDS_MAX)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        answers = self._answers
        partitions = [TopicPartition(CONTROL, number) for number in self._numbers]
        partitions.append(TopicPartition(REGISTRY, answers.registry_partition))
        ours = TopicPartition(VERDICTS, answers.verdict_partition)
        # Asked before the first fetch: a connection answers in order, and a fetch may wait 5 s.
        ends: dict[TopicPartition, int] = await consumer.end_offsets([*partitions, ours])
        consumer.assign([*partitions, ours])
        await consumer.seek_to_beginning(*partitions)
        end = ends.pop(ours)
        if self._answered is None:
            self._answered = end  # nobody in this process waits for an older one
        consumer.seek(ours, self._answered)  # a person may have answered while the broker was away
        answers.held.listening = True
        for number, offset in self._positions.items():
            consumer.seek(TopicPartition(CONTROL, number), offset)
        behind = {partition for partition, end in ends.items() if end > 0}
        while True:
            for partition in list(behind):
                if await consumer.position(partition) >= ends[partition]:
                    behind.discard(partition)
            if not behind:
                self._gate.ready = True
            timeout_ms = SNAPSHOT_MS if behind else POLL_MS
            for records in (await consumer.getmany(timeout_ms=timeout_ms)).values():
                for record in records:
                    self._hear(record)

    def _hear(self, record: ConsumerRecord) -> None:
        if record.topic == VERDICTS:
            self._answered = record.offset + 1
            self._answers.verdicts(record.value)
            return
        key = (record.key or b"").decode(errors="replace")
        kid = header(record.headers, KID).decode(errors="replace")
        sig = header(record.headers, SIG)
        if record.topic == REGISTRY:
            self._answers.file(key, record.value, kid, sig)
            grants = self._answers.held.grants
            if grants is not None:
                self._gate.declare({name: tool.access for name, tool in grants.tools.items()})
            return
        self._positions[record.partition] = record.offset + 1
        if key.startswith(life.PREFIX):
            now = clock.monotonic()
            refused = self._gate.hear_life(key, record.value, kid, sig, clock.now_us(), now)
            if refused is not None:
                self._tell(refused, clock.now_us())
            return
        kid2 = header(record.headers, KID2).decode(errors="replace")
        sig2 = header(record.headers, SIG2)
        outcome = self._gate.hear(key, record.value, kid, sig, clock.now_us(), kid2, sig2)
        if outcome is not None:
            self._tell(outcome, clock.now_us())


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        await asyncio.wait_for(consumer.stop(), STOP_SECONDS)
    except (TimeoutError, KafkaError, OSError):
        _log.debug("The consumer of commands did not stop in time.")
