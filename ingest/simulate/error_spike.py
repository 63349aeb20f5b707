"""Everything behind the tools fails at once, and the agent keeps calling."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Move, Script

_CALLS = 24
_LATENCY_MS = 30.0
_PAUSE_MS = 40.0
# Of four calls three fail and the tools take turns: no tool fails five times in a row or reaches its
# own volume first, so it is the agent's error rate that must be seen, not one broken tool. For the
# same reason the fault begins early: what went well in the same minute counts against it.
_ROUND = 4


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run of many calls of which three in four fail."""
    healthy = work.script(task, random)
    moves: list[Move] = list(healthy.moves[:4])
    for n in range(_CALLS):
        tool = task.instruments[n // _ROUND % len(task.instruments)]
        call = replace(work.act(tool, random), latency_ms=_LATENCY_MS, pause_ms=_PAUSE_MS)
        moves.append(replace(call, error="" if n % _ROUND == _ROUND - 1 else "Unavailable"))
    return replace(healthy, moves=moves, urgent=True)


SCENARIO = Scenario(
    "error_spike", expected="open", scope="agent", must_stop=True, detector="error_rate",
    task="refund", distort=distort, fault_at_s=1.5, fault_s=20.0,
)  # fmt: skip
