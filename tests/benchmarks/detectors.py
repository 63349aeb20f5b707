"""What each detector costs: microseconds an update, bytes a key.

    python -m tests.benchmarks.detectors --report FILE

Feeds each detector the normal stream of its contract case, after it is warm, on one core. The row
`one step` is all that an agent's step pays for: the same call given to every always-on detector.
"""

import argparse
import json
import pickle
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from detectors import (
    DETECTORS,
    CallRate,
    CostCap,
    ErrorBaseline,
    ErrorRate,
    ExactLoop,
    LatencyBaseline,
    LatencyQuantile,
    Silence,
    StepVector,
    step_features,
)
from tests.benchmarks import promises
from tests.contract.test_detectors import CASES, stream

UPDATES = 20_000
WARM = 2_000  # beyond every warm-up, so that no detector takes the short way
STEP_US_MAX = 25.0  # what the worker's budget leaves for all always-on detectors together

Row = dict[str, float]


def _measure(update: Callable[[int], object]) -> Row:
    """Mean of the best of four loops; 99th percentile of single calls less the clock's own time."""
    quarter = UPDATES // 8
    means = []
    for first in range(0, UPDATES // 2, quarter):  # the best: other programs only ever add time
        start = time.perf_counter_ns()
        for i in range(first, first + quarter):
            update(i)
        means.append((time.perf_counter_ns() - start) / quarter)
    singles = []
    for i in range(UPDATES // 2, UPDATES):
        start = time.perf_counter_ns()
        update(i)
        singles.append(time.perf_counter_ns() - start)
    empty = []
    for _ in range(1000):
        start = time.perf_counter_ns()
        empty.append(time.perf_counter_ns() - start)
    p99 = statistics.quantiles(singles, n=100)[98] - statistics.median(empty)
    return {"mean_us": round(min(means) / 1e3, 2), "p99_us": round(p99 / 1e3, 2)}


def _single(name: str) -> Row:
    detector = DETECTORS[name]()
    observations = list(stream(name, WARM + UPDATES))
    for observation in observations[:WARM]:
        detector.update(*observation)
    row = _measure(lambda i: detector.update(*observations[WARM + i]))
    row["pickled_bytes"] = len(pickle.dumps(detector))
    row["pickled_bytes_max"] = CASES[name].pickled_max
    row["memory_bytes"] = detector._raw_memory_usage
    return row


class Bundle:
    """All always-on detectors of one agent, one tool and one run, as a completed step feeds them."""

    def __init__(self) -> None:
        self.tool_errors, self.agent_errors = ErrorRate(), ErrorRate(consecutive_max=None)
        self.baseline, self.calls, self.loop = ErrorBaseline(), CallRate(), ExactLoop()
        self.latency, self.usual_latency = LatencyQuantile(), LatencyBaseline()
        self.run_cost, self.day_cost = CostCap(), CostCap(daily=True)
        self.run_tokens, self.day_tokens = CostCap("tokens"), CostCap("tokens", daily=True)
        self.silence, self.vector = Silence(), StepVector()

    def update(self, now: float, key: str, seconds: float, tokens: int, failed: bool) -> None:
        cost = tokens * 3e-6
        self.tool_errors.update(failed, now)
        self.agent_errors.update(failed, now)
        self.baseline.update(failed)
        self.calls.update(now, 1000, 100_000)
        self.latency.update(seconds, 2.0)
        self.usual_latency.update(seconds)
        self.run_cost.update(cost, now, 1e3)
        self.day_cost.update(cost, now, 1e3)
        self.run_tokens.update(tokens, now, 1e9)
        self.day_tokens.update(tokens, now, 1e9)
        self.silence.update(True, now)
        self.loop.update(key)
        self.vector.update(step_features(seconds, cost, tokens, failed, False))


def _step() -> Row:
    rng, bundle = random.Random(7), Bundle()
    steps = [
        (
            i * 0.1,
            f"{rng.getrandbits(64):016x}",
            rng.lognormvariate(0.0, 0.3),
            int(rng.lognormvariate(6.5, 0.5)),
            rng.random() < 0.03,
        )
        for i in range(WARM + UPDATES)
    ]
    for step in steps[:WARM]:
        bundle.update(*step)
    row = _measure(lambda i: bundle.update(*steps[WARM + i]))
    row["pickled_bytes"] = len(pickle.dumps(bundle))
    return row


def _table(rows: dict[str, Row]) -> str:
    columns = ["mean_us", "p99_us", "pickled_bytes", "pickled_bytes_max", "memory_bytes"]
    lines = [f"{'':18}" + "".join(f"{column:>19}" for column in columns)]
    for name, row in rows.items():
        cells = "".join(f"{row[c]:>19}" if c in row else f"{'':>19}" for c in columns)
        lines.append(f"{name:18}{cells}")
    return "\n".join(lines)


def report() -> dict[str, object]:
    """All rows, and the promises beside what was measured."""
    rows = {"a call of nothing": _measure(lambda i: None)}
    rows |= {name: _single(name) for name in DETECTORS}
    rows["one step"] = _step()
    sys.stdout.write(_table(rows) + "\n")
    return {
        "benchmark": "detectors",
        "python": sys.version.split()[0],
        "updates": UPDATES,
        "figures": [
            {
                "name": "all always-on detectors, one step",
                "unit": "us",
                "promised_max": STEP_US_MAX,
                "measured": rows["one step"]["mean_us"],
            },
            *(
                {
                    "name": f"state of {name}",
                    "unit": "bytes",
                    "promised_max": rows[name]["pickled_bytes_max"],
                    "measured": rows[name]["pickled_bytes"],
                }
                for name in DETECTORS
            ),
        ],
        "rows": rows,
    }


def main() -> int:
    """Exit code 2 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    arguments = parser.parse_args()
    found = report()
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    figures = found["figures"]
    assert isinstance(figures, list)
    return promises.exit_code(figures)


if __name__ == "__main__":
    raise SystemExit(main())
