"""A planner that does not learn from what it gets: the same call, the same result, over and over."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Act, Move, Script

_CALLS = 12  # three times what the rule needs, so that nobody can mistake the end for a stop
_PAUSE_MS = 250.0  # a stop needs some time to arrive: the fifth call must already be refused
_EVERY = 3  # each third run loops; the others show that only the run was stopped


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run that fetches one page again and again."""
    if moment.run % _EVERY:
        return None
    healthy = work.script(task, random)
    tool = task.reads[0]
    call = Act(tool.name, tool.args(random), {"hits": []}, tool.latency_ms, pause_ms=_PAUSE_MS)
    loop: list[Move] = [replace(call) for _ in range(_CALLS)]
    return replace(healthy, moves=[*healthy.moves[:3], *loop], urgent=True)


SCENARIO = Scenario(
    "tool_loop", expected="stop-run", scope="run", must_stop=True, detector="exact_loop",
    task="research", distort=distort, fault_at_s=1.0,
)  # fmt: skip
