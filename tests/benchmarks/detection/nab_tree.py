"""A folder in the layout of NAB, and the scorer that knows its rules.

`data/<group>/<file>.csv` has a timestamp and a value a row; `labels/combined_windows.json` names the
windows of each file in which something is odd, by the timestamps of their first and last row.
"""

import csv
import importlib.util
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROFILES = ("standard", "low_FP", "low_FN")
"""What a false alarm and a missed window cost: alike, false alarms twice, misses twice."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the scorer made of one file's windows."""

    reward: Floats
    """Of an alarm in this row, before weights."""
    window: NDArray[np.int64]
    """Number of the row's window, -1 outside."""
    scored: NDArray[np.bool_]
    """False in the first 15 %, in which a detector may learn."""


class Scorer:
    """NAB's rules as `nab_score.py` has them; the file stays where it is and is never copied."""

    def __init__(self, path: Path) -> None:
        spec = importlib.util.spec_from_file_location("nab_score", path)
        assert spec is not None
        assert spec.loader is not None
        self._rules: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._rules)

    def truth(self, tree: Path) -> tuple[dict[str, Any], dict[str, Truth]]:
        """Stamps and windows of each labelled file, and what they are worth."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves files to be closed
            files: dict[str, Any] = self._rules.load(str(tree))
        return files, {name: Truth(*self._rules.prep(*file)) for name, file in files.items()}

    def score(
        self, files: Mapping[str, Any], truth: Mapping[str, Truth], alarms: Mapping[str, Floats],
        profile: str = "standard",
    ) -> float:  # fmt: skip
        """Of 100: 0 is a detector that says nothing. `alarms` is 1 in the rows that alarm."""
        windows = sum(len(file[1]) for file in files.values())
        told = {n: (t.reward, t.window, t.scored) for n, t in truth.items()}
        raw = self._rules.score_at(files, told, alarms, 0.5, profile)
        return float(self._rules.normed(raw, profile, windows)) if windows else 0.0

    def best_of_rows(
        self, files: Mapping[str, Any], truth: Mapping[str, Truth], scores: Mapping[str, Floats]
    ) -> float:
        """Score at the best of all thresholds, every row above it an alarm."""
        windows = sum(len(file[1]) for file in files.values())
        told = {n: (t.reward, t.window, t.scored) for n, t in truth.items()}
        _, raw = self._rules.best(files, told, scores, "standard")
        return float(self._rules.normed(raw, "standard", windows)) if windows else 0.0


def series(tree: Path) -> dict[str, list[float]]:
    """Values of each labelled file; what is no number is missing (NaN)."""
    names = json.loads((tree / "labels" / "combined_windows.json").read_text("utf-8"))
    return {name: _values(tree / "data" / name) for name in names}


def _values(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        return [_number(row[1]) for row in rows]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
