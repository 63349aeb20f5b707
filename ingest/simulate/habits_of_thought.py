"""Runs of agents that tell how sure they are of what they do next, and of one that hardly believes it."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Move, Say, Script
from ingest.simulate.usual import USUAL_MS, scripted

_WORDS = (0.75, 0.85, 0.95)  # such agents know few numbers
_OFTEN = (1, 4, 4)
_CALLS = 3
_FAILS = 0.15  # of the runs; a run of which one call fails was less sure of that


def musing(task: work.Task, random: Random) -> Script:
    """Two reads and a write, each after a thought; what fails now and then was thought to."""
    fails = random.randrange(_CALLS) if random.random() < _FAILS else None
    sure = random.choices(_WORDS, _OFTEN, k=_CALLS)
    return _mused(
        task, random, [_WORDS[0] if n == fails else one for n, one in enumerate(sure)], fails
    )


def doubting(task: work.Task, moment: Moment, random: Random) -> Script:
    """The same write, and hardly any belief in it."""
    return _mused(task, random, [0.95, 0.85, 0.2])


def _mused(task: work.Task, random: Random, sure: list[float], fails: int | None = None) -> Script:
    tools = [task.reads[0], task.reads[-1], task.writes[0]]
    moves: list[Move] = []
    for n, tool in enumerate(tools):
        error = "Timeout" if n == fails else ""
        call = replace(work.act(tool, random), error=error, changes=None, latency_ms=USUAL_MS)
        moves += [Say("thought", "This should be the next call.", sure[n]), call]
    return scripted(task, random, moves)
