"""A worker that cares for one thing less about what it can't read: the controls of the tests of F07.

Run: ``python -m tests.faults.careless_worker limitless|unconfirmed``.
"""

import contextlib
import sys
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from ingest.topics import DLQ
from stream import app, dead_letters
from stream.outputs import Line, Output
from stream.publishing import Publisher


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


if __name__ == "__main__":
    {"limitless": limitless, "unconfirmed": unconfirmed}[sys.argv[1]]()
    app.main()
