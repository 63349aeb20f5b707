"""Series made by rule, with faults at known rows, as a folder in NAB's layout: for who has no recorded ones.

    python -m tests.benchmarks.detection.made_series DIR --seed 3
    python -m tests.benchmarks.detection nab --data DIR

Longer than those of the development split and none of them like another: what a detector alarms for in
weeks without a fault shows here, and not there.
"""

import argparse
import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Random = np.random.Generator

_DAY = 288  # rows of five minutes
_START = datetime(2026, 1, 5)  # noqa: DTZ001  # NAB's stamps have no zone


class Made(NamedTuple):
    """One series and the rows about which its faults lie."""

    values: Floats
    faults: list[int]


def _wander(rng: Random, n: int, memory: float) -> Floats:
    """Noise of deviation 1 that forgets slowly."""
    noise, found = rng.normal(size=n) * np.sqrt(1 - memory**2), np.zeros(n)
    for i in range(1, n):
        found[i] = memory * found[i - 1] + noise[i]
    return found


def _places(rng: Random, n: int, count: int) -> list[int]:
    """Rows apart from each other, after the first fifth."""
    return [int(n * (0.2 + 0.8 * (i + rng.uniform(0.15, 0.75)) / count)) for i in range(count)]


def _counts(rng: Random) -> Made:
    """Messages: counts with a day's season, bursts of a few rows."""
    n = 15_000
    rate = np.exp(2.2 + np.sin(2 * np.pi * np.arange(n) / _DAY) + 0.5 * _wander(rng, n, 0.95))
    faults = _places(rng, n, 3)
    for row in faults:
        rate[row : row + int(rng.integers(2, 30))] *= rng.uniform(5, 12)
    return Made(rng.poisson(rate).astype(np.float64), faults)


def _load(rng: Random) -> Made:
    """A machine: noise with stray spikes; ten hours of more work, three of hardly any."""
    n = 4032
    values = 40 + 3 * rng.normal(size=n) + 20 * (rng.random(n) < 0.01) * rng.random(n)
    more, less = faults = _places(rng, n, 2)
    values[more : more + 120] += 15
    values[less : less + 40] = 5 + 2 * rng.normal(size=40)
    return Made(values, faults)


def _restless(rng: Random) -> Made:
    """The level stays, the noise grows."""
    values = 20 + 2 * rng.normal(size=4032)
    faults = _places(rng, 4032, 1)
    values[faults[0] : faults[0] + 200] += 8 * rng.normal(size=200)
    return Made(values, faults)


def _rides(rng: Random) -> Made:
    """Half-hours with a day and a week; a day of half, of too much, of less, and one out of step."""
    n, day = 10_000, 48
    row = np.arange(n)
    daily = 12 + 8 * np.sin(2 * np.pi * (row - 16) / day) + 3 * np.sin(4 * np.pi * row / day)
    values = daily * (1 - 0.25 * (row // day % 7 > 4)) * (1 + 0.06 * _wander(rng, n, 0.8))
    starts = [place // day * day for place in _places(rng, n, 4)]
    for start, factor in zip(starts, (0.5, 1.6, 0.6, 1.0), strict=True):
        values[start : start + day] *= factor
    values[starts[3] : starts[3] + day] = np.roll(values[starts[3] : starts[3] + day], 20)
    return Made(values, [start + 10 for start in starts])


def _heat(rng: Random) -> Made:
    """A temperature that wanders for weeks; two that sink and one that falls."""
    n = 22_000
    values = 80 + 6 * _wander(rng, n, 0.999) + 0.8 * rng.normal(size=n)
    fast, slow, gone = faults = _places(rng, n, 3)
    values[fast : fast + 60] -= np.linspace(0, 35, 60)
    values[slow : slow + 300] -= np.linspace(0, 30, 300)
    values[gone : gone + 40] -= 40
    return Made(values, faults)


def _latency(rng: Random) -> Made:
    """Durations with a long tail; six rows of six times as long, sixty of twice."""
    n = 4000
    values = np.exp(3 + 0.4 * _wander(rng, n, 0.7) + 0.2 * rng.normal(size=n))
    short, long = faults = _places(rng, n, 2)
    values[short : short + 6] *= 6
    values[long : long + 60] *= 2.2
    return Made(values, faults)


def _gap(rng: Random) -> Made:
    """Requests with a day's season; ten rows without any."""
    row = np.arange(4032)
    wave = 100 + 60 * np.sin(2 * np.pi * row / _DAY)
    values = np.maximum(0, wave + 8 * rng.normal(size=4032))
    faults = _places(rng, 4032, 1)
    values[faults[0] : faults[0] + 10] = 0
    return Made(values, faults)


def _batch(rng: Random) -> Made:
    """A job that runs for an hour twice a day, and once doesn't."""
    row = np.arange(4032)
    values = 5 + rng.normal(size=4032) + 40 * (row % 144 < 12)
    start = _places(rng, 4032, 1)[0] // 144 * 144
    values[start : start + 12] -= 40
    return Made(values, [start + 6])


def _disk(rng: Random) -> Made:
    """What fills slowly, in steps of a tenth, and leaps once for good."""
    values = 50 + np.cumsum(0.01 * rng.random(4032)) + 0.3 * rng.normal(size=4032)
    faults = _places(rng, 4032, 1)
    values[faults[0] :] += 8
    return Made(np.round(values, 1), faults)


def _calm(rng: Random) -> Made:
    """A season in noise, and nothing else."""
    n = 8000
    wave = 30 + 10 * np.sin(2 * np.pi * np.arange(n) / _DAY)
    return Made(wave + 2 * rng.normal(size=n) + 3 * _wander(rng, n, 0.9), [])


KINDS: dict[str, Callable[[Random], Made]] = {
    "counts": _counts, "load": _load, "restless": _restless, "rides": _rides, "heat": _heat,
    "latency": _latency, "gap": _gap, "batch": _batch, "disk": _disk, "calm": _calm,
}  # fmt: skip


def windows(made: Made) -> list[tuple[int, int]]:
    """As NAB draws them: a tenth of the file, shared by its faults, about each; none overlap."""
    n = len(made.values)
    half = n // 20 // max(len(made.faults), 1)
    found: list[tuple[int, int]] = []
    for row in made.faults:
        first = max(row - half, found[-1][1] + 1 if found else 0)
        found.append((first, min(row + half, n - 1)))
    return found


def write(tree: Path, seed: int, copies: int = 2) -> None:
    """The folder: each kind `copies` times."""
    labels = {}
    for copy in range(copies):
        for number, (name, make) in enumerate(KINDS.items()):
            made = make(np.random.default_rng((seed, copy, number)))
            file = f"made/{name}_{copy}.csv"
            stamps = [str(_START + timedelta(minutes=5 * i)) for i in range(len(made.values))]
            path = tree / "data" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="", encoding="utf-8") as target:
                rows = csv.writer(target)
                rows.writerow(("timestamp", "value"))
                rows.writerows(zip(stamps, made.values.tolist(), strict=True))
            labels[file] = [(stamps[a], stamps[b]) for a, b in windows(made)]
    (tree / "labels").mkdir(parents=True, exist_ok=True)
    (tree / "labels" / "combined_windows.json").write_text(json.dumps(labels, indent=1), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    write(arguments.tree, arguments.seed)


if __name__ == "__main__":
    main()
