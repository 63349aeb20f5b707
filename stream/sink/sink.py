"""Last stage of the record: every topic's records into ClickHouse, each exactly once. Plain aiokafka.

The position is what ClickHouse holds, never what Kafka has committed. One insert is one contiguous range of
each of its partitions; when its outcome is unknown the identical block goes again under the same token until
it is known. `intake.py` decides what is new, `batch.py` what is inserted together, and
`tables.py` asks and tells ClickHouse; here is only what moves: polling, pausing, retrying, handing
partitions over.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from ingest import metrics
from ingest.keys import Keys
from ingest.settings import Settings
from stream.sink import batch
from stream.sink.batch import Batch
from stream.sink.columns import Block
from stream.sink.intake import Intake
from stream.sink.positions import Unready, positions
from stream.sink.rows import TABLES
from stream.sink.tables import Tables
from stream.worker.lag import LAG_SECONDS, Lag
from tracefuse.errors import ConfigError

log = logging.getLogger("tracefuse.sink")

GROUP = "tracefuse-sink"
# Kafka's least: a killed sink's partitions wait so long, unless it comes back as itself.
SESSION_MS = 6_000
HEARTBEAT_MS = 2_000
# The broker answers a fetch when it has so much, or after so long: five answers a second, not hundreds.
FETCH_BYTES, FETCH_WAIT_MS = 64 << 10, 100
POLL_MS = 200
POLL_RECORDS = 300  # in envelopes of 20 events 70 ms of decoding: the heartbeat gets its turn
# Of a topic's lines that wait for their insert; beyond it nothing of that topic is polled, so that one whose
# table takes nothing does not stop the others. As columns they take three to four times as much.
HELD_BYTES = 16 << 20
# Kafka takes a member that has not polled for five minutes for dead.
UNPOLLED_SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.05  # between polls that brought little, so that more comes with the next
INSERTS = 2  # at a time; ClickHouse gains nothing from more, and a hung one must not stop all
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.2, 5.0
# A commit proves that the partitions are still ours: until then from when it was sent, a session less the
# time that an insert may take to land, nobody else can have them.
COMMIT_SECONDS = 1.0
LEASE_SECONDS = SESSION_MS / 1000 - 2.0

T = TypeVar("T")


class Sink(ConsumerRebalanceListener):  # type: ignore[misc]
    """One sink of the group.

    Parameters
    ----------
    consumer
        Not started, without automatic commits.
    tables
        ClickHouse.
    master
        The key from which the agents' credentials derive.
    """

    def __init__(self, consumer: AIOKafkaConsumer, tables: Tables, master: bytes):
        self._consumer, self._tables, self._master = consumer, tables, master
        self._intakes: dict[TopicPartition, Intake] = {}
        self._inserting: set[asyncio.Task[None]] = set()
        self._committed: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()  # because they hold enough
        self._threads = ThreadPoolExecutor(INSERTS, thread_name_prefix="clickhouse")
        self._handovers = 0  # whatever an older one was about to open is void
        self._proved = float("-inf")  # when the commit was sent that last succeeded
        self._polled = float("-inf")

    async def run(self) -> None:
        """Store until cancelled. Raises what no repetition can mend."""
        self._consumer.subscribe(list(TABLES), listener=self)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._consumer.start()
                self._tasks.create_task(self._prove())
                self._tasks.create_task(self._look())
                while True:
                    await self._turn()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self._intakes = {}
            # An insert on its way must end before the next owner reads his position.
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
            await self._consumer.stop()

    # -- partitions come and go -------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing is read of a partition before ClickHouse has told its position."""
        self._open_later(assigned)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let inserts end first: the next owner reads his position from what they leave."""
        intakes = await self._release()
        try:
            await self._commit(intakes)
        except KafkaError as error:
            log.info("Positions not committed at the handover: %s", error)

    def _open_later(self, tps: Collection[TopicPartition]) -> None:
        if tps:
            self._consumer.pause(*tps)
            self._tasks.create_task(self._open(set(tps), self._handovers))

    async def _open(self, tps: set[TopicPartition], handover: int) -> None:
        """Go on where ClickHouse stands. Repeated until it and Kafka have answered."""
        ask = partial(positions, self._consumer, self._tables, self._ask, tps)
        found = await self._insist("positions", ask, lambda: handover == self._handovers)
        if found is None or handover != self._handovers:
            return
        for tp, (stored, at) in found.items():
            self._consumer.seek(tp, at)
            self._intakes[tp] = Intake(tp.topic, tp.partition, self._master, stored, at)
            self._committed[tp] = at
        self._consumer.resume(*found)
        self._paused -= set(found)

    async def _release(self) -> dict[TopicPartition, Intake]:
        """Take no more of any; inserts on their way end, but are not tried again."""
        self._handovers += 1
        released, self._intakes = self._intakes, {}
        if self._inserting:
            await asyncio.wait(self._inserting)
        return released

    async def _reopen(self, why: str) -> None:
        """Treat the assignment as new."""
        log.warning("Positions are read again: %s.", why)
        handover = self._handovers + 1
        await self._release()
        if handover == self._handovers:
            self._open_later(self._consumer.assignment())

    async def _prove(self) -> None:
        """Commit how far the rows are: nothing depends on the figure, all on being allowed to."""
        while True:
            begun = monotonic()
            try:
                if await self._commit(self._intakes):
                    self._proved = begun
            except KafkaError as error:  # a rebalance is under way, or the broker is away
                log.info("Positions not committed: %s", error)
            await asyncio.sleep(COMMIT_SECONDS)

    async def _look(self) -> None:
        """Show how far the rows are behind what Kafka holds."""
        lag = Lag()
        while True:
            await asyncio.sleep(LAG_SECONDS)
            safe = {tp: intake.safe for tp, intake in self._intakes.items()}
            try:
                ends = await self._consumer.end_offsets(list(safe)) if safe else {}
            except KafkaError as error:
                log.info("Lag not known: %s", error)
                continue
            lag.show({("sink", *tp): end - safe[tp] for tp, end in ends.items()})

    @property
    def _ours(self) -> bool:
        """Whether what it holds is proved to be its own. A process that stood still must ask first."""
        return monotonic() - self._proved < LEASE_SECONDS

    # -- records come in --------------------------------------------------------------------------

    async def _turn(self) -> None:
        polled = await self._poll()
        now = monotonic()
        for tp, records in polled.items():
            if (intake := self._intakes.get(tp)) is not None:
                await self._read(tp, intake, records, now)
        self._begin(now)
        full = sum(map(len, polled.values())) == POLL_RECORDS
        await asyncio.sleep(0 if full else PAUSE_SECONDS)

    async def _poll(self) -> Mapping[TopicPartition, Sequence[Any]]:
        """What has come of topics that have room. Pausing the others would throw away what is fetched."""
        held: Counter[str] = Counter()
        for tp, intake in self._intakes.items():
            held[tp.topic] += intake.held
        wanted = [tp for tp in self._intakes if held[tp.topic] < HELD_BYTES]
        overdue = monotonic() - self._polled > UNPOLLED_SECONDS_MAX
        if self._intakes and not wanted and not overdue:
            return {}
        polled: Mapping[TopicPartition, Sequence[Any]] = await self._consumer.getmany(
            *wanted, timeout_ms=POLL_MS, max_records=POLL_RECORDS
        )
        self._polled = monotonic()
        return polled

    async def _read(
        self, tp: TopicPartition, intake: Intake, records: Sequence[Any], now: float
    ) -> None:
        for record in records:
            if record.offset > intake.expected:
                await self._reopen(f"{tp} jumped from {intake.expected} to {record.offset}")
                return
            if record.offset == intake.expected:
                intake.add(record.offset, record.timestamp, record.headers, record.value, now)
            if intake.limit.reached:
                break  # here, so that the offset that it names is the last one that can't be read
        for reason, count in intake.dropped.items():
            metrics.ROWS_DROPPED.labels(reason).inc(count)
        metrics.REPEATS.labels("sink").inc(intake.repeats)
        intake.dropped.clear()
        intake.repeats = 0
        if intake.limit.reached:
            raise intake.limit.stop(tp.topic, tp.partition, intake.expected - 1)

    def _begin(self, now: float) -> None:
        """Start the inserts that are due; pause a partition while more waits than it may hold."""
        if self._ours:
            for due in batch.due(self._intakes.values(), now):
                task = self._tasks.create_task(self._store(due))
                self._inserting.add(task)
                task.add_done_callback(self._inserting.discard)
        for tp, intake in self._intakes.items():
            if intake.busy != (tp in self._paused):  # asking the consumer costs a walk over all
                (self._consumer.pause if intake.busy else self._consumer.resume)(tp)
                self._paused ^= {tp}

    async def _commit(self, intakes: Mapping[TopicPartition, Intake]) -> bool:
        """Commit what has moved, or one that has not; false when there is nothing to commit."""
        safe = {tp: intake.safe for tp, intake in intakes.items()}
        moved = {tp: offset for tp, offset in safe.items() if offset > self._committed[tp]}
        if not safe:
            return False
        await self._consumer.commit(moved or dict([safe.popitem()]))
        for tp, offset in moved.items():
            processed = metrics.PROCESSED.labels(tp.topic, str(tp.partition))
            processed.inc(max(0, offset - self._committed[tp]))
            self._committed[tp] = offset
        return True

    # -- rows go out ------------------------------------------------------------------------------

    async def _store(self, due: Batch) -> None:
        def owned() -> bool:
            ours = self._intakes
            return all(ours.get(TopicPartition(i.topic, i.partition)) is i for i in due.intakes)

        if spooled := due.spooled:
            look = partial(self._ask, self._tables.known, spooled)
            known = await self._insist("look-up", look, owned)
            if known is None:
                return
            due.forget(known)
            metrics.ROWS_DROPPED.labels("duplicate").inc(len(known))
        for block, token in due.inserts():
            begun = monotonic()
            send = partial(self._send, block, token)
            if await self._insist(f"insert {token}", send, owned) is None:
                return
            metrics.INSERT_SECONDS.labels(block.table).observe(monotonic() - begun)
            metrics.ROWS.labels(block.table).inc(len(block))
        due.settled()

    async def _send(self, block: Block, token: str) -> bool:
        try:
            await self._ask(self._insert, block, token)
        except Exception:
            metrics.INSERT_FAILURES.labels(block.table).inc()
            raise
        return True

    def _insert(self, block: Block, token: str) -> None:
        if not self._ours:
            raise Unready("the partitions may be another's by now")
        self._tables.insert(block, token)

    async def _ask(self, call: Callable[..., T], *arguments: Any) -> T:
        """What blocks, in a thread. Cancelled, it ends there all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    async def _insist(
        self, what: str, call: Callable[[], Awaitable[T]], owned: Callable[[], bool]
    ) -> T | None:
        """Repeat a call until its outcome is known, or until it is somebody else's."""
        delay = RETRY_SECONDS
        while owned():
            try:
                return await call()
            except ConfigError:
                raise
            except (
                Exception
            ) as error:  # whatever driver and network raise; all calls may be repeated
                log.warning("%s failed, again in %.1f s: %s", what, delay, str(error)[:500])
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_SECONDS_MAX)
        return None


async def run(settings: Settings, keys: Keys) -> None:
    """Store until cancelled."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=GROUP,
        group_instance_id=os.environ.get("TRACEFUSE_INSTANCE") or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        fetch_min_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    tables = Tables(settings)
    try:
        await Sink(consumer, tables, keys.master).run()
    finally:
        tables.close()
