"""Made runs of two bundles that call twelve tools: nothing changed, or calls moved to another. Pure."""

import math
import random
from collections import deque
from collections.abc import Callable

from detectors import CanaryMix, TaskDrift

TOOLS = [f"tool-{n}" for n in range(12)]
USUAL = [1 / (n + 1) for n in range(12)]  # the first one has 32 % of all calls
CALLS, CALLS_PER_RUN, DAY_CALLS = 10_000, 6, 2_000
Found = Callable[[random.Random], int | None]  # calls until something fires


def moved(share: float) -> list[float]:
    """The weights with a share of the first tool's calls made with the second."""
    return [USUAL[0] * (1 - share), USUAL[1] + USUAL[0] * share, *USUAL[2:]]


def called(rng: random.Random, weights: list[float], crowded: bool, at: int) -> list[str]:
    """The calls of a run; `crowded`: each run likes some tools, and a season moves what all do."""
    if crowded:
        season = 1 + 0.8 * math.sin(2 * math.pi * at / DAY_CALLS)
        weights = [weight * rng.expovariate(1.0) for weight in weights]
        weights[0] *= season
    return rng.choices(TOOLS, weights, k=CALLS_PER_RUN)


def mixed(share: float, away: float, crowded: bool = False) -> Found:
    """The canary's share of the runs, and how much of the first tool's calls it makes elsewhere."""
    new = moved(away)

    def play(rng: random.Random) -> int | None:
        detector = CanaryMix()
        for at in range(CALLS_PER_RUN, CALLS + 1, CALLS_PER_RUN):
            own = rng.random() < share
            detector.update(called(rng, new if own else USUAL, crowded, at), own, share)
            if detector.fires:
                return at
        return None

    return play


def peeked(share: float, crowded: bool = False) -> Found:
    """The baseline: the first tool's part of the calls of either, by a z-test at 5 % after every 50 runs."""

    def play(rng: random.Random) -> int | None:
        hits, made = [0, 0], [0, 0]
        for at in range(CALLS_PER_RUN, CALLS + 1, CALLS_PER_RUN):
            own = rng.random() < share
            calls = called(rng, USUAL, crowded, at)
            hits[own] += calls.count(TOOLS[0])
            made[own] += len(calls)
            if at % (50 * CALLS_PER_RUN) == 0 and min(made) > 0:
                p = sum(hits) / sum(made)
                error = math.sqrt(p * (1 - p) * (1 / made[0] + 1 / made[1])) or 1.0
                if abs(hits[0] / made[0] - hits[1] / made[1]) > 1.96 * error:
                    return at
        return None

    return play


RUNS, REFERENCE_RUNS = 4_000, 300
Task = tuple[list[str], int, float, bool]  # calls, steps, USD, whether it went wrong


def tasked(rng: random.Random, away: float = 0.0, longer: float = 1.0, bad: float = 0.05) -> Task:
    """A run of one task, crowded, of six steps on average, with a cost that scatters."""
    steps = 1 + min(int(rng.expovariate(0.2) * longer), 40)
    weights = [weight * rng.expovariate(1.0) for weight in moved(away)]
    calls = rng.choices(TOOLS, weights, k=steps)
    return calls, steps, steps * rng.lognormvariate(-5.0, 0.5), rng.random() < bad


def drifted(**fault: float) -> Found:
    """Runs until a drift from the frozen reference is told."""

    def play(rng: random.Random) -> int | None:
        detector = TaskDrift()
        for _ in range(REFERENCE_RUNS):
            detector.update(*tasked(rng))
        for at in range(RUNS):
            detector.update(*tasked(rng, **fault))
            if detector.fires:
                return at + 1
        return None

    return play


def false_task_drifts(streams: int, runs: int = 10_000) -> float:
    """Alarms in so many runs of which nothing changed, after the reference was frozen."""
    alarms = 0
    for seed in range(streams):
        rng, detector = random.Random(seed), TaskDrift()
        for _ in range(detector.n0 + runs):
            detector.update(*tasked(rng))
            if detector.fires:
                alarms += 1
                detector.settled()
    return alarms / streams


def compared(bad: float) -> Found:
    """The baseline: failures of the last 200 runs beside those of the first 200, at 3 standard errors."""

    def play(rng: random.Random) -> int | None:
        first = sum(tasked(rng)[3] for _ in range(200))
        last = deque[bool](maxlen=200)
        for at in range(RUNS):
            last.append(tasked(rng, bad=bad)[3])
            p = max((first + sum(last)) / 400, 0.0025)
            if len(last) == 200 and sum(last) - first > 3 * math.sqrt(400 * p * (1 - p)):
                return at + 1
        return None

    return play
