"""Detectors of one numeric series on a folder in NAB's layout: found in time, missed, called for nothing.

    python -m tests.benchmarks.detection.nab                                  # the development split
    python -m tests.benchmarks.detection.nab --data DIR --report FILE --plots DIR --results DIR

Every contender takes every file from its first row to its last, a row at a time, fresh for each file and
alike for all. What is promised is judged on the development split only; on other data the exit code is 0.
"""

import argparse
import csv
import json
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks.detection import nab_tree, plots
from tests.benchmarks.detection.contenders import CONTENDERS, QUIET, Rows
from tests.benchmarks.detection.judging import Judge, leading
from tests.benchmarks.detection.nab_tree import Floats
from tests.benchmarks.promises import Json, exit_code
from tests.conftest import SHARED

OURS = next(iter(CONTENDERS))
PROMISES = {"best": 68.0, "default": 62.0}


class Played(NamedTuple):
    """What one contender said of all files."""

    scores: dict[str, Floats]
    alarms: dict[str, Floats]
    us_per_row: float
    bytes_per_key: int


def play(make: Callable[[], Rows], series: Mapping[str, list[float]]) -> Played:
    """One pass over each file, the next row only after the last one was answered."""
    scores, alarms, size, spent = {}, {}, 0, 0
    for name, values in series.items():
        rows, said, told = make(), [], []
        began = time.process_time_ns()
        for value in values:
            said.append(rows.update(value))
            told.append(rows.fires)
        spent += time.process_time_ns() - began
        scores[name], alarms[name] = np.array(said), np.array(told, dtype=np.float64)
        size = max(size, _bytes(rows))
    count = sum(map(len, series.values()))
    return Played(scores, alarms, round(spent / 1e3 / max(count, 1), 1), size)


def _bytes(rows: Rows) -> int:
    """What a checkpoint of it would hold."""
    model = getattr(rows, "model", rows)
    return len(pickle.dumps(model)) if model is not None else 0


def judged(judge: Judge, played: Played) -> Json:
    """Figures of one contender."""
    led = {name: leading(one, QUIET) for name, one in played.scores.items()}
    return {
        "default": judge.at(played.alarms),
        "error": judge.error(played.alarms),
        "best": judge.best(played.scores, QUIET),
        "best_of_rows": round(judge.scorer.best_of_rows(judge.files, judge.truth, led), 1),
        "us_per_row": played.us_per_row,
        "bytes_per_key": played.bytes_per_key,
        "groups": judge.groups(played.alarms),
    }


def write_results(folder: Path, data: Path, played: Mapping[str, Played]) -> None:
    """Rows as `nab_score.py` reads them: `<contender>/<group>/<contender>_<file>.csv`."""
    for contender, one in played.items():
        plain = contender.replace(" ", "_").replace(",", "")
        for name, scores in one.scores.items():
            group, file = name.rsplit("/", 1)
            path = folder / plain / group / f"{plain}_{file}"
            path.parent.mkdir(parents=True, exist_ok=True)
            with (data / "data" / name).open(newline="", encoding="utf-8") as source:
                rows = list(csv.reader(source))[1:]
            with path.open("w", newline="", encoding="utf-8") as target:
                write = csv.writer(target).writerow
                write(("timestamp", "value", "anomaly_score", "score", "alarm"))
                led, told = leading(scores, QUIET), one.alarms[name]
                for row, lead, score, alarm in zip(rows, led, scores, told, strict=True):
                    write((row[0], row[1], float(lead), float(score), int(alarm)))


def table(rows: Mapping[str, Json]) -> str:
    """All contenders, a line each."""
    head = (
        f"{'':33}{'own threshold':>33}{'best threshold':>36}\n"
        f"{'':33}{'std':>7}{'±':>5}{'lowFP':>7}{'lowFN':>7}{'hit':>4}{'false':>6}"
        f"{'std':>7}{'lowFP':>7}{'lowFN':>7}{'hit':>4}{'false':>6}{'at':>8}{'rows':>7}"
        f"{'us/row':>8}{'bytes':>9}"
    )
    lines = [head]
    for name, row in rows.items():
        own, best = row["default"], row["best"]
        lines.append(
            f"{name:33}{own['standard']:>7}{row['error']:>5}{own['low_FP']:>7}{own['low_FN']:>7}"
            f"{own['windows_hit']:>4}{own['false_alarms']:>6}{best['standard']:>7}{best['low_FP']:>7}"
            f"{best['low_FN']:>7}{best['windows_hit']:>4}{best['false_alarms']:>6}"
            f"{best['threshold']:>8.3f}{row['best_of_rows']:>7}{row['us_per_row']:>8}"
            f"{row['bytes_per_key']:>9}"
        )
    return "\n".join(lines)


def report(data: Path, scorer: Path, arguments: argparse.Namespace, promised: bool) -> Json:
    """All contenders on one tree."""
    rules = nab_tree.Scorer(scorer)
    judge = Judge(rules, *rules.truth(data))
    series = nab_tree.series(data)
    played = {name: play(make, series) for name, make in CONTENDERS.items()}
    rows = {name: judged(judge, one) for name, one in played.items()}
    sys.stdout.write(table(rows) + "\n")
    if arguments.results:
        write_results(arguments.results, data, played)
    if arguments.plots:
        plots.write(arguments.plots, series, judge.truth, played[OURS], rows, table(rows))
    figures = [
        {
            "name": f"NAB standard score, {where} threshold",
            "unit": "of 100",
            "measured": rows[OURS][where]["standard"],
            **({"promised_min": least} if promised else {}),
        }
        for where, least in PROMISES.items()
    ]
    return {
        "benchmark": "detection.nab", "files": len(series), "rows": sum(map(len, series.values())),
        "windows": sum(len(file[1]) for file in judge.files.values()), "quiet": QUIET,
        "figures": figures, "contenders": rows,
    }  # fmt: skip


def main() -> int:
    """Exit code 2 when a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder in NAB's layout")
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--plots", type=Path, help="folder for a page and a picture of each file")
    parser.add_argument(
        "--results", type=Path, help="folder for all rows, as nab_score.py reads them"
    )
    arguments = parser.parse_args()
    data, scorer = arguments.data or SHARED / "data" / "nab", SHARED / "tools" / "nab_score.py"
    missing = [
        path for path in (data / "labels" / "combined_windows.json", scorer) if not path.exists()
    ]
    if missing:
        sys.stderr.write(f"NOT MEASURED: {missing[0]} is absent\n")
        found: Json = {"figures": [], "skipped": f"{missing[0].name} is absent"}
    else:
        found = report(data, scorer, arguments, promised=arguments.data is None)
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return exit_code(found["figures"])


if __name__ == "__main__":
    raise SystemExit(main())
