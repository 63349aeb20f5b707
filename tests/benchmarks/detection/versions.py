"""Evidence about versions on made streams of known truth: canary, shadow, slow drift.

    python -m tests.benchmarks.detection versions [--report FILE]

Every request goes wrong with a probability that the stream knows and the detector does not. Counted are
streams in which the product's own detector fires, and after how many requests. Pure, one core, seeded.
"""

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from detectors import CanaryRate, ShadowPair, SlowDrift
from tests.benchmarks.detection.version_streams import (
    RUNS,
    compared,
    drifted,
    false_task_drifts,
    mixed,
    peeked,
)
from tests.benchmarks.promises import exit_code

LENGTH, DAY = 10_000, 2_000  # requests of a stream, and of the season in it
SHARE = 0.1  # of the canary
NEVER = 10**9
BESIDE = ("promised_max", "promised_min", "reference")
Stream = Callable[[random.Random], int | None]  # request at which it fires


def season(i: int) -> float:
    """How much worse or better everything is at this time of the day: 0.2 to 1.8."""
    return 1 + 0.8 * math.sin(2 * math.pi * i / DAY)


def canary(stable: float, new: float, seasonal: bool = False) -> Stream:
    """One request at a time, a tenth of them to the canary."""

    def play(rng: random.Random) -> int | None:
        detector = CanaryRate()
        for i in range(LENGTH):
            is_canary = rng.random() < SHARE
            share = (new if is_canary else stable) * (season(i) if seasonal else 1.0)
            detector.update(rng.random() < share, is_canary, SHARE)
            if detector.fires:
                return i + 1
        return None

    return play


def shadow(stable: float, new: float) -> Stream:
    """One pair at a time; some inputs are hard for both."""

    def play(rng: random.Random) -> int | None:
        detector = ShadowPair()
        for i in range(LENGTH):
            detector.update(rng.random() < new, rng.random() < stable)
            if detector.fires:
                return i + 1
        return None

    return play


def drift(before: float, after: float, length: int, healthy: int = 1_500) -> Stream:
    """A healthy time, with its frozen reference, then the other share for `length` requests."""

    def play(rng: random.Random) -> int | None:
        detector = SlowDrift()
        for _ in range(healthy):
            detector.update(rng.random() < before)
        for i in range(length):
            detector.update(rng.random() < after)
            if detector.fires:
                return i + 1
        return None

    return play


def false_drifts(streams: int) -> float:
    """Alarms in 10,000 outcomes of which nothing changed, after the reference was frozen."""
    alarms = 0
    for seed in range(streams):
        rng, detector = random.Random(seed), SlowDrift()
        for _ in range(LENGTH + detector.n0):
            detector.update(rng.random() < 0.05)
            alarms += detector.fires
    return alarms / streams


def played(stream: Stream, streams: int) -> Iterator[int]:
    """Requests until each of so many streams fires; `NEVER` for those that do not."""
    for seed in range(streams):
        yield stream(random.Random(seed)) or NEVER


def share_of(stream: Stream, streams: int) -> float:
    return sum(found < NEVER for found in played(stream, streams)) / streams


def median_of(stream: Stream, streams: int) -> float:
    return float(statistics.median(played(stream, streams)))


def mixes() -> list[dict[str, Any]]:
    """Which tools the canary calls; without a promise where detection.md gives a figure of another stream."""
    found: list[dict[str, Any]] = [
        {"name": "tool mix, nothing changed, season and crowded runs: held up", "unit": "share",
         "promised_max": 0.05, "measured": share_of(mixed(SHARE, 0.0, crowded=True), 200)},
        {"name": "baseline: z-test of the first tool after every 50 runs, the same", "unit": "share",
         "measured": share_of(peeked(SHARE, crowded=True), 200)},
    ]  # fmt: skip
    for share in (SHARE, 0.5):
        for away, reference, median in ((0.15, 0.43, 2_542), (0.3, 0.995, 1_345), (0.6, 1.0, 433)):
            at = [one for one in played(mixed(share, away), 60) if one < NEVER]
            what = f"tool mix, {away:.0%} moved, canary at {share:.0%}".replace("%", " %")
            found += [
                {"name": f"{what}: found", "unit": "share", "reference": reference,
                 "measured": len(at) / 60},
                {"name": f"{what}: median of those", "unit": "calls", "reference": median,
                 "measured": float(statistics.median(at or [math.inf]))},
            ]  # fmt: skip
    return found


def tasks() -> list[dict[str, Any]]:
    """Runs of one task against their first 200; how failures are found by comparing windows stands beside."""
    found: list[dict[str, Any]] = [
        {"name": "task drift, nothing changed: alarms in 10,000 runs", "unit": "alarms",
         "promised_max": 1.0, "measured": false_task_drifts(20)},
        {"name": "baseline: failures of 200 runs beside the first 200: alarmed in 4,000", "unit": "share",
         "measured": share_of(compared(0.05), 40)},
        {"name": "the same, 5 to 10 % bad runs: median", "unit": "runs",
         "measured": median_of(compared(0.10), 40)},
    ]  # fmt: skip
    faults: dict[str, dict[str, float]] = {
        "30 % of the first tool's calls moved": {"away": 0.3}, "60 % moved": {"away": 0.6},
        "twice the steps": {"longer": 2.0}, "5 to 10 % bad runs": {"bad": 0.10},
        "5 to 15 %": {"bad": 0.15},
    }  # fmt: skip
    for name, fault in faults.items():
        at = list(played(drifted(**fault), 40))
        found += [
            {"name": f"task drift, {name}: found in {RUNS:,} runs", "unit": "share",
             "measured": sum(one < NEVER for one in at) / 40},
            {"name": "the same: median", "unit": "runs", "measured": float(statistics.median(at))},
        ]  # fmt: skip
    return found


def figures() -> list[dict[str, Any]]:
    """Each promise beside what was measured."""
    percent = "share"
    return [
        {"name": "canary, nothing changed, a daily season: taken back", "unit": percent,
         "promised_max": 0.05, "measured": share_of(canary(0.05, 0.05, seasonal=True), 400)},
        {"name": "canary, nothing changed: taken back", "unit": percent,
         "promised_max": 0.05, "measured": share_of(canary(0.05, 0.05), 400)},
        {"name": "canary at a tenth, 5 to 20 %: median", "unit": "requests",
         "promised_max": 500, "measured": median_of(canary(0.05, 0.20), 200)},
        *mixes(),
        {"name": "shadow, nothing changed: refused", "unit": percent,
         "promised_max": 0.05, "measured": share_of(shadow(0.05, 0.05), 400)},
        {"name": "shadow, 5 to 10 %: median", "unit": "pairs",
         "promised_max": 450, "measured": median_of(shadow(0.05, 0.10), 200)},
        {"name": "slow drift, 5 to 8 %: found within 4,000", "unit": percent,
         "promised_min": 0.70, "measured": share_of(drift(0.05, 0.08, 4_000), 200)},
        {"name": "slow drift, nothing changed: alarms in 10,000", "unit": "alarms",
         "promised_max": 1.0, "measured": false_drifts(100)},
        *tasks(),
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; exit code 2 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    began = time.process_time()
    found = figures()
    for figure in found:
        beside = next((figure[one] for one in BESIDE if one in figure), "")
        print(f"{figure['name']:<68}{figure['measured']:>10.4g} {figure['unit']:<9} ({beside})")
    print(f"{time.process_time() - began:.0f} s of one core")
    if options.report is not None:
        options.report.write_text(json.dumps({"figures": found}, indent=1) + "\n")
    return exit_code(found)


if __name__ == "__main__":
    sys.exit(main())
