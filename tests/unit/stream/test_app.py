"""Faust's consumer in the worker's own loop, without a broker: what stands where a thread would."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.types import TP

from ingest import keys as key_files
from ingest.settings import Settings
from ingest.topics import EVENTS, INBOX
from stream.worker import app
from stream.worker.worker import Worker, cores


def reading(loop: asyncio.AbstractEventLoop) -> Any:
    """A consumer that was never started, where its loop is the asking one."""
    made = object.__new__(app._Reading)
    made.thread_loop = loop
    return made


def test_the_application_reads_in_its_own_loop(tmp_path: Path) -> None:
    """What Faust takes for the consumer's thread shares the loop of the batches."""
    keys = key_files.create(tmp_path)
    settings = Settings(home=str(tmp_path))

    async def play() -> tuple[object, object]:
        made = app.create_app(settings, Worker(settings, keys, cores(keys)), "worker-1")
        made.loop = asyncio.get_running_loop()
        thread = made._new_consumer()._thread
        return thread.thread_loop, thread.parent_loop

    own, asking = asyncio.run(play())
    assert own is asking


def test_a_call_runs_in_the_asking_thread() -> None:
    """A coroutine's and a plain function's outcome alike."""

    async def later(name: str) -> tuple[str, int]:
        return name, threading.get_ident()

    def at_once(name: str) -> tuple[str, int]:
        return name, threading.get_ident()

    async def play() -> list[tuple[str, int]]:
        consumer = reading(asyncio.get_running_loop())
        return [
            await consumer.call_thread(later, "a"),
            await consumer.call_thread(at_once, name="b"),
        ]

    here = threading.get_ident()
    assert asyncio.run(play()) == [("a", here), ("b", here)]


def test_its_end_ends_nobody_else() -> None:
    """A thread's loop would be emptied of all tasks; this one has the worker's in it."""

    async def play() -> str:
        other = asyncio.create_task(asyncio.sleep(0.05, "done"))
        await reading(asyncio.get_running_loop())._gather_remaining_tasks()
        return await other

    assert asyncio.run(play()) == "done"


def test_a_service_runs_as_a_task_of_the_loop() -> None:
    """Where Faust starts a thread, the service's work begins in this one."""
    ran = []

    class Service:
        async def _serve(self) -> None:
            ran.append(threading.get_ident())

    async def play() -> None:
        task = app._Task(Service())
        task.start()
        await asyncio.sleep(0)
        task.stop()

    asyncio.run(play())
    assert ran == [threading.get_ident()]


def test_what_was_fetched_together_is_handed_over_together(tmp_path: Path) -> None:
    """In one turn of the loop: else each record becomes a batch of its own while others wait."""
    keys = key_files.create(tmp_path)
    settings = Settings(home=str(tmp_path))
    places = [TP(EVENTS, 0), TP(EVENTS, 1), TP(INBOX, 0)]
    fetched = {tp: [fetched_record(tp, offset) for offset in range(40)] for tp in places}
    turn, heard = 0, []

    async def play() -> None:
        nonlocal turn
        made = app.create_app(settings, Worker(settings, keys, cores(keys)), "worker-1")
        made.loop = asyncio.get_running_loop()
        consumer = made._new_consumer()
        consumer.flow_active = True
        consumer._thread.highwater = lambda tp: 40
        answers = [(fetched, set(places))]

        async def wait_next_records(timeout: float) -> Any:
            if not answers:
                consumer._stopped.set()
                return {}, set()
            return answers.pop()

        async def callback(message: Any) -> None:
            heard.append((message.tp, message.offset, turn))

        consumer._wait_next_records, consumer.callback = wait_next_records, callback
        draining = asyncio.create_task(consumer._drain_messages(consumer))
        while not draining.done():
            turn += 1
            await asyncio.sleep(0)
        await draining

    asyncio.run(play())
    for tp in places:
        assert [offset for place, offset, _ in heard if place == tp] == list(range(40))
    assert len({turn for _, _, turn in heard}) == 1


def fetched_record(tp: TP, offset: int) -> ConsumerRecord[bytes, bytes]:
    """As aiokafka gives it."""
    return ConsumerRecord(
        tp.topic, tp.partition, offset, 1_000, 1, b"k", b"v", None, 1, 1, headers=()
    )
