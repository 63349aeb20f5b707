"""Faust's consumer in the worker's own loop, without a broker: what stands where a thread would."""

import asyncio
import threading

from stream.worker import reading


def test_it_is_called_where_it_was_asked() -> None:
    """A plain function or a coroutine, in the asking thread; control: nothing else answers here."""
    consumer = object.__new__(reading._Reading)

    async def later(name: str) -> tuple[str, int]:
        return name, threading.get_ident()

    async def play() -> None:
        here = threading.get_ident()
        assert await consumer.call_thread(later, "a") == ("a", here)
        assert await consumer.call_thread(lambda name: (name, threading.get_ident()), name="b") == (
            "b",
            here,
        )

    asyncio.run(play())


def test_its_end_ends_nobody_else() -> None:
    """A thread's loop would be emptied of all tasks; this one has the worker's in it."""

    async def play() -> bool:
        other = asyncio.create_task(asyncio.sleep(0.05))
        await object.__new__(reading._Reading)._gather_remaining_tasks()
        await other
        return other.cancelled()

    assert not asyncio.run(play())


def test_a_service_runs_as_a_task_of_the_loop() -> None:
    """Where Faust starts a thread, the service's work begins in this one."""
    ran = []

    class Service:
        async def _serve(self) -> None:
            ran.append(threading.get_ident())

    async def play() -> None:
        task = reading._Task(Service())
        task.start()
        await asyncio.sleep(0)
        task.stop()

    asyncio.run(play())
    assert ran == [threading.get_ident()]
