"""What scenarios with a history are made of: runs that go at their own times, and reads that go well."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random
from typing import Any

from ingest.simulate import work
from ingest.simulate.script import Act, Move, Script

CALLS = 20  # of a run
USUAL_MS = 10.0  # shortened: a thousand calls must fit into a demo
Run = Callable[[work.Task, Random], Script]


def scripted(task: work.Task, random: Random, moves: Iterable[Move], **more: Any) -> Script:
    """A run of these moves at their own times."""
    return replace(work.script(task, random), moves=list(moves), urgent=True, whole=True, **more)


def reading(task: work.Task, random: Random, calls: int = CALLS) -> list[Act]:
    """Reads that go well, one tool after the other, each call a little slower or quicker."""
    tools = task.reads
    return [
        replace(
            work.act(tools[n * len(tools) // calls], random), error="",
            latency_ms=work.latency(USUAL_MS, random),
        )
        for n in range(calls)
    ]  # fmt: skip
