"""The Faust application: streams of raw records into the worker. The only file that knows Faust.

Run: ``python -m stream.worker.app worker``. An agent body never raises: Faust would acknowledge the batch and
go on. What can't be handled ends the process, and the supervisor starts it again at its checkpoint.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
import uvloop
from faust.cli.faust import cli
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from mode.utils.futures import maybe_async

from ingest import garbage, metrics
from ingest.keys import load as load_keys
from ingest.settings import Settings, from_environment
from ingest.topics import DLQ, EVENTS, INBOX, PARTITIONS
from stream.build import build
from stream.dead_letters import TooManyDeadLetters
from stream.worker.lag import LAG_SECONDS, Lag
from stream.worker.watchdog import SESSION_SECONDS, Seen, Watchdog
from stream.worker.worker import Record, Worker, cores

log = logging.getLogger("tracefuse.worker")

GROUP = "tracefuse-worker"
BATCH = 500
# Records in memory between broker and handler, for each topic; beyond that their partitions pause.
BUFFER = 2000
# Seconds from batch to batch: each is a write of its own, and on full cores many small ones are slower.
PACE = 0.004


class _Task:
    """Stands where Faust expects a thread: what that would run is a task of this loop."""

    def __init__(self, service: Any):
        self._service = service
        self._task: asyncio.Task[None] | None = None  # the loop keeps no task alive by itself

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._service._serve())

    def stop(self) -> None:
        """A thread is waited for here; the service has waited for the task already."""


class _Reading(AIOKafkaConsumerThread):
    Worker = _Task

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Faust ends all tasks of the thread's loop; this loop is not the consumer's alone."""


class _InLoop(Consumer):
    """Faust's consumer without its thread, which is there so that heartbeats go on while a handler computes.

    Ours computes for milliseconds, and each batch paid for a queue, two wakings and two threads that want one
    interpreter. A worker whose loop stands still loses its partitions to others, as it should.
    """

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Reading(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:
        """Hand over in one turn of the loop what was fetched together, and leave nothing to the caller.

        Faust's own drain makes four tasks for each record and waits for one: here the handler would run in
        between, a batch for every record, and the more there is to read the slower it reads.
        """
        async for tp, message in super().getmany(timeout):
            read = self._read_offset[tp]
            if read is None or message.offset >= read:
                await self.callback(message)
                self._read_offset[tp] = message.offset
        return
        yield  # what makes it the iterator that Faust asks for


class App(faust.App):
    """Faust's app whose consumer starts where the checkpoint says, after every rebalance."""

    worker: Worker
    _reading: Any = None

    @property
    def coordinated(self) -> bool:
        """Whether the client knows who coordinates its group, to whom its heartbeats go."""
        client = None if self._reading is None else self._reading._thread._consumer
        group = None if client is None else client._coordinator  # before its start it has none
        return group is None or group.coordinator_id is not None

    def _new_consumer(self) -> Any:
        self.transport.Consumer = _InLoop
        consumer = self._reading = super()._new_consumer()
        seek_to_commit: Callable[[], Awaitable[None]] = consumer.perform_seek

        async def perform_seek() -> None:
            await seek_to_commit()
            await self.worker.start()
            assigned = {(tp.topic, tp.partition) for tp in consumer.assignment()}
            for (topic, number), offset in (await self.worker.assign(assigned)).items():
                await consumer.seek(faust.types.TP(topic, number), offset)

        consumer.perform_seek = perform_seek
        return consumer


def create_app(settings: Settings, worker: Worker, instance: str) -> App:
    """The application of one worker process."""
    folder = Path(settings.home) / "faust" / (instance or str(os.getpid()))
    folder.mkdir(parents=True, exist_ok=True)
    app = App(
        GROUP,
        broker=f"kafka://{settings.bootstrap}",
        datadir=str(folder),
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=PARTITIONS,
        web_enabled=False,
        web_tables_enabled=False,
        table_standby_replicas=0,
        broker_commit_interval=5.0,  # commits only show the lag: the checkpoint decides
        broker_session_timeout=SESSION_SECONDS,
        broker_rebalance_timeout=30.0,
        broker_heartbeat_interval=3.0,
        broker_max_poll_records=2000,
        consumer_max_fetch_size=4 << 20,
        consumer_group_instance_id=instance or None,
        stream_buffer_maxsize=BUFFER,
        stream_wait_empty=True,
    )
    app.worker = worker
    for name in (EVENTS, INBOX):
        _follow(app, name, worker)

    @app.task
    async def look() -> None:
        await _show_lag(app, worker)

    @app.on_partitions_revoked.connect
    async def revoked(*_: Any, **__: Any) -> None:
        await worker.revoke()

    @app.on_before_shutdown.connect
    async def ending(*_: Any, **__: Any) -> None:
        await worker.stop()  # an end revokes nothing

    return app


def _follow(app: App, name: str, worker: Worker) -> None:
    seconds = metrics.BATCH_SECONDS.labels(stage=name)
    # Nothing is acknowledged: where to read on stands in the checkpoint.
    topic = app.topic(
        name, key_type=bytes, key_serializer="raw", value_type=bytes, value_serializer="raw",
        acks=False,
    )  # fmt: skip

    @app.agent(topic, name=f"follow-{name}", concurrency=1)
    async def follow(stream: Any) -> None:
        async for events in _gathered(app, stream):
            try:
                with seconds.time():
                    await worker.batch(name, [_record(event.message) for event in events])
                for number, offset in (await worker.lost(name)).items():
                    log.warning("%s/%d is read again from offset %d.", name, number, offset)
                    await app.consumer.seek(faust.types.TP(name, number), offset)
            except asyncio.CancelledError:
                raise
            except TooManyDeadLetters as error:
                log.critical("%s; the worker ends. The lines are on %s.", error, DLQ)
                os._exit(os.EX_DATAERR)
            except BaseException:
                log.exception("A batch of %s can't be handled; the worker ends.", name)
                os._exit(70)


async def _gathered(app: App, stream: Any) -> AsyncIterator[list[Any]]:
    """What there is: at once after a pause, else `PACE` after the last began; `BATCH` at most.

    Faust's own `take_events` looks at a timer instead, 200 times a second on each stream, and every
    record waits for it. As with Faust, what came before a rebalance is left out.
    """
    queue, loop = stream.channel.queue, asyncio.get_running_loop()
    began = -PACE
    async for first in stream.events():
        # At least one turn: what was fetched together is still being put there.
        await asyncio.sleep(max(began + PACE - loop.time(), 0.0))
        began = loop.time()
        events = [first, *(queue.get_nowait() for _ in range(min(queue.qsize(), BATCH - 1)))]
        if app.flow_control.is_active():
            now = app.consumer_generation_id
            yield [event for event in events if event.message.generation_id == now]


async def _show_lag(app: App, worker: Worker) -> None:
    stages, lag = {EVENTS: "join", INBOX: "detect"}, Lag()
    while True:
        await asyncio.sleep(LAG_SECONDS)
        positions = worker.positions()
        try:
            ends = await app.consumer.highwaters(*(faust.types.TP(*tp) for tp in positions))
        except Exception as error:  # between two owners, or without a broker: the next look tells
            log.info("Lag not known: %s", error)
            continue
        behind = {tp: ends.get(faust.types.TP(*tp), at) - at for tp, at in positions.items()}
        lag.show({(stages[topic], topic, n): records for (topic, n), records in behind.items()})


def _record(message: Any) -> Record:
    return Record(
        message.partition, message.offset, message.timestamp, message.headers or (), message.value
    )


def watch(app: App, worker: Worker) -> None:
    """End a process that is of no more use: others own its partitions, or soon will."""
    dog = Watchdog(time.monotonic())
    while True:
        time.sleep(0.25)
        seen = Seen(worker.processed, worker.owns, app.coordinated, app.should_stop)
        if why := dog.why(time.monotonic(), seen):
            # Nothing of ours may be written any more, so nothing is closed in order either.
            log.critical("The worker ends: %s. Its next start goes on at the checkpoint.", why)
            os._exit(os.EX_TEMPFAIL)


def main() -> None:
    """Entry of ``tracefuse worker``."""
    settings = from_environment()
    instance = os.environ.get("TRACEFUSE_INSTANCE", "")
    keys = load_keys(settings.keys_folder)
    worker = Worker(settings, keys, cores(keys))
    metrics.serve(settings, "worker", build())
    app = create_app(settings, worker, instance)
    threading.Thread(target=watch, args=(app, worker), daemon=True).start()
    app.finalize()
    garbage.rare()
    # Faust's own `-L uvloop` is read when faust is imported, before this line.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    sys.argv = ["faust", "worker", "-l", "info", "--without-web"]
    cli(obj=None, standalone_mode=True, app=app)


if __name__ == "__main__":
    main()
