"""A process that hangs within a run: no event, no heartbeat, no exit."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Freeze, Script


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """The first run freezes in the middle; whoever wakes the process finds it healthy again."""
    if moment.run:
        return None
    healthy = work.script(task, random)
    half = len(healthy.moves) // 2
    return replace(healthy, moves=[*healthy.moves[:half], Freeze(), *healthy.moves[half:]])


SCENARIO = Scenario(
    "silent", expected="alarm", scope="", must_stop=False, detector="silence",
    task="operations", distort=distort, fault_at_s=7.0,
)  # fmt: skip
