"""A worker with one protection of the law removed: what `replay --verify` must notice.

Run: ``python -m tests.replay.broken_worker local_timer|no_src|wall_clock``.
"""

import asyncio
import sys
import time
from typing import Any

from ingest.topics import INBOX
from stream.partition import Partition
from stream.worker import app
from stream.worker.worker import Record, Worker


def wall_clock() -> None:
    """The wall clock in place of record time."""
    honest = app._record

    def record(message: Any) -> Record:
        told = honest(message)
        return Record(told.partition, told.offset, time.time(), told.headers, told.value)

    app._record = record


def no_src() -> None:
    """Derived records are applied as often as they come."""
    Partition.accepts = lambda self, src: True  # type: ignore[method-assign]


def local_timer() -> None:
    """A timer of this process in place of the tick in the log."""

    async def timer(worker: Worker) -> None:
        while True:
            for (topic, _), owned in list(worker._owned.items()):
                if topic == INBOX:
                    async with worker._locks[INBOX]:
                        await _pass(worker, owned)
            await asyncio.sleep(0.5)

    async def _pass(worker: Worker, owned: Any) -> None:
        core = owned.core
        core.partition.now = max(core.partition.now, time.time())
        core._saying.begin(max(core.partition.offset, 0), core.partition.now, 1_000_000)
        for _, agent in core.partition.due():
            core._timer(agent)
        out = core._saying.collected()
        assert worker._publisher is not None
        await (await worker._publisher.publish(out, owned.term, 0))

    Worker._tick = timer  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    {"wall_clock": wall_clock, "no_src": no_src, "local_timer": local_timer}[sys.argv[1]]()
    app.main()
