"""A tool behind the agent slows down: calls still succeed, but far later than declared."""

from dataclasses import replace
from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Move, Script

_CALLS = 12
_QUICK = 20  # a 95th percentile is judged over 20 calls; they come just before, as quick as usual
_QUICK_MS = 20.0
# Four times the declared latency; the rule fires above three times.
_LATENCY_MS = 4.0 * work.DECLARED_MS


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run whose searches take four times what is declared; the first begins with quick ones."""
    healthy = work.script(task, random)
    latencies = [_QUICK_MS] * (0 if moment.run else _QUICK) + [_LATENCY_MS] * _CALLS
    calls: list[Move] = [
        replace(work.act(task.reads[0], random), latency_ms=latency, error="")
        for latency in latencies
    ]
    return replace(healthy, moves=[*healthy.moves[:4], *calls], urgent=True)


SCENARIO = Scenario(
    "latency_collapse", expected="throttle", scope="tool", must_stop=True, detector="latency",
    task="support", distort=distort, fault_at_s=8.0, fault_s=20.0,
)  # fmt: skip
