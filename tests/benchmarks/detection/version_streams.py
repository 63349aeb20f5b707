"""Made runs of two bundles that call twelve tools: nothing changed, or calls moved to another. Pure."""

import math
import random
from collections.abc import Callable

from detectors import CanaryMix

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
