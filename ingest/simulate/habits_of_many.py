"""What only several agents together show, and people should hear of as one thing.

A tool that fails for everybody who uses it; agents that are in each other's way at one order.
"""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Act, Script
from ingest.simulate.usual import reading, scripted

# Five failures of one tool in a row open its breaker; the stop needs some time to arrive.
_CALLS, _PAUSE_MS = 16, 30.0


def both_tools(task: work.Task, random: Random) -> Script:
    """Two calls of either tool, which go well."""
    return scripted(task, random, reading(task, random, 4))


def one_fails(task: work.Task, moment: Moment, random: Random) -> Script:
    """The first tool fails, whatever it is asked."""
    broken = task.reads[0].name
    reads = [
        replace(read, error="Unavailable", pause_ms=_PAUSE_MS) if read.tool == broken else read
        for read in reading(task, random, _CALLS)
    ]
    return scripted(task, random, reads)


def colliding(task: work.Task, random: Random) -> Script:
    """Reads that go well, but for one at which somebody else was faster: each time at another order."""
    return scripted(task, random, _late_at(f"order/{random.randrange(10**6)}", task, random))


def same_order(task: work.Task, moment: Moment, random: Random) -> Script:
    """The same, and each time it is the order that another agent wants, too."""
    return scripted(task, random, _late_at("order/991", task, random))


def _late_at(order: str, task: work.Task, random: Random) -> list[Act]:
    reads = [
        replace(read, about=f"order/{random.randrange(10**6)}")
        for read in reading(task, random, _CALLS)
    ]
    late = _CALLS // 2
    reads[late] = replace(reads[late], about=order, error="VersionConflict", pause_ms=_PAUSE_MS)
    return reads
