"""A worker that cares for one thing less, or an older one: the controls of faults.

Run: ``python -m tests.faults.careless_worker limitless|unconfirmed|older|stubborn``.
"""

import contextlib
import pickle
import sys
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from ingest.topics import DLQ
from stream import agent_cells, app, dead_letters
from stream.agent_state import AgentState
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


if __name__ == "__main__":
    ways = {
        "limitless": limitless,
        "unconfirmed": unconfirmed,
        "older": older,
        "stubborn": stubborn,
    }
    ways[sys.argv[1]]()
    app.main()
