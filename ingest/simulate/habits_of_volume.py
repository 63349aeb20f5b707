"""Runs of the scenario about volume: few calls in each minute, then a flood of them."""

from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Script
from ingest.simulate.usual import reading, scripted

# The law of ten minutes is wide: of 15 calls a minute, some 60 more within seconds are said.
_FLOOD = 200
KNOWN_S = 620.0
"""Seconds of work after which a minute's calls have a law: ten whole minutes, and room for a late start."""


def steady(task: work.Task, random: Random) -> Script:
    """Two looks, a run every eight seconds."""
    return scripted(task, random, reading(task, random, 2))


def flooding(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """One run looks two hundred times, each time at something else, far below any cap."""
    return scripted(task, random, reading(task, random, _FLOOD)) if moment.run == 0 else None
