"""A worker that cares for one thing less: the controls of faults.

Run: ``python -m tests.faults.careless_worker limitless|unconfirmed|forgetful|resigned``.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka.errors import KafkaError

from ingest.topics import DLQ
from stream import app, dead_letters
from stream.outputs import Line, Output
from stream.publishing import Publisher
from stream.worker import Worker
from tracefuse import wire


def limitless() -> None:
    """It goes on however little it can read."""
    dead_letters.ROW_MAX = sys.maxsize
    dead_letters.SHARE_LINES = sys.maxsize


def unconfirmed() -> None:
    """It does not ask whether the broker has taken a dead letter."""
    honest = Publisher.publish

    async def publish(
        self: Publisher, outputs: Iterable[Output], term: int, issued_at: int
    ) -> None:
        letters: list[Output] = []
        others: list[Output] = []
        for output in outputs:
            dead = isinstance(output, Line) and output.topic == DLQ
            (letters if dead else others).append(output)
        await honest(self, others, term, issued_at)
        with contextlib.suppress(KafkaError):
            await honest(self, letters, term, issued_at)

    Publisher.publish = publish  # type: ignore[method-assign]


def forgetful() -> None:
    """Once a record goes astray between broker and handler."""
    honest = app._gathered

    async def gathered(faust: app.App, stream: Any) -> AsyncIterator[list[Any]]:
        batches = 0
        async for events in honest(faust, stream):
            batches += 1
            lost = batches == 3 and events[0].message.topic == wire.EVENTS
            yield events[1:] if lost else events

    app._gathered = gathered  # type: ignore[assignment]


def resigned() -> None:
    """The same, and nobody asks for it again."""

    async def lost(self: Worker, topic: str) -> dict[int, int]:
        return {}

    forgetful()
    Worker.lost = lost  # type: ignore[method-assign]


if __name__ == "__main__":
    {
        "limitless": limitless, "unconfirmed": unconfirmed, "forgetful": forgetful, "resigned": resigned,
    }[sys.argv[1]]()  # fmt: skip
    app.main()
