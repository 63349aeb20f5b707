"""A worker that takes 50 ms for each record of events: ``python -m tests.faults.slow bounded|boundless``.

The boundless one also takes in whatever it is given: the control of the test of F17.
"""

import asyncio
import sys
from collections.abc import Iterable

from ingest.topics import EVENTS
from stream.worker import app
from stream.worker.owned import Owned
from stream.worker.worker import Record, Worker

RECORD_SECONDS = 0.05


def slow() -> None:
    """The handler sleeps."""
    honest = Worker._batch

    async def _batch(self: Worker, topic: str, records: Iterable[Record]) -> Owned | None:
        for record in records:
            if topic == EVENTS:
                await asyncio.sleep(RECORD_SECONDS)
            if (stopped := await honest(self, topic, [record])) is not None:
                return stopped
        return None

    Worker._batch = _batch  # type: ignore[method-assign]


def boundless() -> None:
    """Nothing is ever too much to hold."""
    app.BUFFER = 1_000_000


if __name__ == "__main__":
    slow()
    if sys.argv[1] == "boundless":
        boundless()
    app.main()
