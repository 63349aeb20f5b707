"""What the detectors cost an agent's step in detect, by the CPU's clock, and where it goes.

A few agents of the made month play a second time. First each step's findings are timed as a whole, request
and completion together; then a profile says which detector took what share.
"""

import cProfile
import pstats
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

from ingest.records import Step
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding
from stream.finding import findings
from tests.benchmarks.detection.month_fleet import Fleet
from tests.benchmarks.detection.month_habits import fleet
from tests.benchmarks.promises import Json

AGENTS, DAYS, BEGINS = 8, 4.0, 1_795_046_400.0
WARM = 0.5  # of the steps: half of the detectors' ways are not taken before
Findings = Callable[[AgentState, Step], Iterator[Finding]]


def _fleet(seed: int) -> Fleet:
    who = fleet(AGENTS, BEGINS, DAYS, seed)
    return Fleet(who, {agent.name: [] for agent in who}, BEGINS, DAYS, seed)


def timed(seed: int) -> list[float]:
    """Microseconds of CPU of each step's findings, in the second half of the time."""
    took: dict[str, int] = {}

    def clocked(inner: Findings) -> Findings:
        def outer(agent: AgentState, step: Step) -> Iterator[Finding]:
            begun = time.thread_time_ns()
            found = list(inner(agent, step))
            spent = time.thread_time_ns() - begun
            took[step.step_id] = took.get(step.step_id, 0) + spent
            return iter(found)

        return outer

    with (
        patch.object(findings, "on_request", clocked(findings.on_request)),
        patch.object(findings, "on_complete", clocked(findings.on_complete)),
    ):
        _fleet(seed).play()
    spent = list(took.values())
    return [ns / 1e3 for ns in spent[int(WARM * len(spent)) :]]


def profiled(seed: int) -> tuple[dict[str, float], int]:
    """Share of all detectors' time that each of their files takes, calls of others within it included."""
    profile, played = cProfile.Profile(), _fleet(seed)
    profile.runcall(played.play)
    stats: Any = pstats.Stats(profile)
    spent: dict[str, float] = {}
    for (file, _, name), (_, _, _, total, _) in stats.stats.items():
        if "/detectors/" in file and name == "update":
            stem = file.rpartition("/")[2].removesuffix(".py")
            spent[stem] = spent.get(stem, 0.0) + total
    spent.pop("base", None)  # pieces of others
    spent.pop("conformal_tail", None)
    all_of_it = sum(spent.values())
    return {
        name: s / all_of_it for name, s in sorted(spent.items(), key=lambda i: -i[1])
    }, played.steps


def measured(seed: int) -> Json:
    """Quantiles of a step, and the detectors by their share of it."""
    spent = timed(seed)
    shares, _ = profiled(seed)
    p50, p99 = np.percentile(spent, (50, 99))
    mean = float(np.mean(spent))
    return {
        "step_us": {"p50": float(p50), "p99": float(p99), "mean": mean, "n": len(spent)},
        "share": shares,
    }


def shown(cost: Json) -> None:
    step = cost["step_us"]
    print(
        f"detectors, a step: p50 {step['p50']:.1f}, p99 {step['p99']:.1f}, mean {step['mean']:.1f} µs of CPU "
        f"({step['n']} steps)"
    )
    print("  " + "  ".join(f"{name} {share:.0%}" for name, share in cost["share"].items()))
