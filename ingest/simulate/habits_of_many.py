"""A tool that fails for everybody who uses it: three agents alarm, and people should hear of one thing."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment
from ingest.simulate.script import Script
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
