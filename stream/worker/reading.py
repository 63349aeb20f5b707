"""Faust's consumer in the worker's own loop. It and `app` alone know Faust.

Faust reads in a thread of its own, so that heartbeats go on while a handler computes. Ours computes for some
milliseconds at a time, and each batch paid for the way there and back: a queue, two wakings, two threads
that want one interpreter. A worker whose loop stands still loses its partitions to others, as it should.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from mode.utils.futures import maybe_async


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


class InLoop(Consumer):
    """To `Transport.Consumer`."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Reading(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)
