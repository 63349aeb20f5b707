"""Runs of scenarios about versions: what goes wrong in the new bundle alone, and a task that drifts."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Script
from ingest.simulate.usual import reading, scripted

STABLE, NEXT = "b1", "b2"


def wandering(task: work.Task, moment: Moment, random: Random) -> Script:
    """Every run makes its four calls in another order, and looks into one thing once more."""
    reads = few(task, random).moves
    return scripted(task, random, random.sample([*reads, reads[0]], 5))


def few(task: work.Task, random: Random) -> Script:
    """A short run that goes well in any bundle."""
    return scripted(task, random, reading(task, random, 4), shadowed=True)


def breaks_in_next(task: work.Task, moment: Moment, random: Random) -> Script:
    """One call of the run fails in the new bundle: its error rate stays far below half."""
    reads = reading(task, random, 4)
    reads[1] = replace(reads[1], fails_in=NEXT)
    return scripted(task, random, reads, shadowed=True)


def more_in_next(task: work.Task, moment: Moment, random: Random) -> Script:
    """In the new bundle a run asks one tool twice more than in the other; nothing fails."""
    reads = reading(task, random, 4)
    again = [
        replace(act, only_in=NEXT, args=act.args | {"page": n})
        for n, act in enumerate(reads[:1] * 2)
    ]
    return scripted(task, random, [*reads, *again], shadowed=True)
