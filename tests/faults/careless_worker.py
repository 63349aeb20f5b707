"""A worker that cares for one thing less, or an older one: the controls of faults.

Run: ``python -m tests.faults.careless_worker NAME``, one of `WAYS`.
"""

import asyncio
import contextlib
import pickle
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from math import inf
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from ingest.topics import DLQ
from stream import dead_letters
from stream.agent import agent_cells
from stream.agent.agent_state import AgentState
from stream.outputs import Line, Output
from stream.worker import app
from stream.worker.publishing import Publisher
from stream.worker.worker import Worker
from tracefuse import wire


def limitless() -> None:
    """It goes on however little it can read."""
    dead_letters.ROW_MAX = sys.maxsize
    dead_letters.SHARE_LINES = sys.maxsize


def unconfirmed() -> None:
    """It does not ask whether the broker has taken a dead letter."""
    honest = Publisher.publish

    async def suppressed(sent: Awaitable[list[Any]]) -> list[Any]:
        with contextlib.suppress(KafkaError):
            return await sent
        return []

    async def publish(
        self: Publisher, outputs: Iterable[Output], term: int, issued_at: int
    ) -> Awaitable[list[Any]]:
        letters: list[Output] = []
        others: list[Output] = []
        for output in outputs:
            dead = isinstance(output, Line) and output.topic == DLQ
            (letters if dead else others).append(output)
        sent = await honest(self, others, term, issued_at)
        return asyncio.gather(sent, suppressed(await honest(self, letters, term, issued_at)))

    Publisher.publish = publish  # type: ignore[method-assign]


def older() -> None:
    """A build that had one detector less in each agent, and one part less in another."""
    honest = agent_cells.Cells.dump

    def dump(self: agent_cells.Cells, agent: AgentState) -> bytes:
        less = pickle.loads(pickle.dumps(agent))
        del less.drift, vars(less.errors)["consecutive"]
        return honest(agent_cells.Cells("0" * 16), less)

    agent_cells.Cells.dump = dump  # type: ignore[method-assign]


def stubborn() -> None:
    """It takes whatever a checkpoint holds for its own."""
    agent_cells.upgraded = lambda value: value


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


def clinging() -> None:
    """Its client of Kafka never lets go of the broker."""

    async def stop(self: AIOKafkaConsumer) -> None:
        await asyncio.Event().wait()

    AIOKafkaConsumer.stop = stop


def forgotten() -> None:
    """Some seconds after it got its partitions its client knows no coordinator, and looks for none."""
    honest, take, until = GroupCoordinator.ensure_coordinator_known, Worker.assign, inf

    async def assign(
        self: Worker, assigned: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], int]:
        nonlocal until
        places = await take(self, assigned)
        until = time.monotonic() + 4.0
        return places

    async def ensure(self: GroupCoordinator) -> None:
        if time.monotonic() > until:
            self.coordinator_dead()
            await asyncio.Event().wait()
        await honest(self)

    Worker.assign = assign  # type: ignore[method-assign]
    GroupCoordinator.ensure_coordinator_known = ensure


def unwatched() -> None:
    """The same, and nobody looks at it."""
    forgotten()
    app.watch = lambda *_: None


_WAYS = (
    limitless, unconfirmed, older, stubborn, forgetful, resigned, clinging, forgotten, unwatched,
)  # fmt: skip
WAYS = {way.__name__: way for way in _WAYS}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
    app.main()
