"""Who is scored on a series: ours, river's stock detectors as they come, and one that looks at nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from river import anomaly, drift, preprocessing

from detectors import SeriesNovelty

QUIET = 100
"""Rows after an alarm without another one, for everybody: without it all of them fare far worse."""


class Rows(Protocol):
    """What takes a series row by row."""

    fires: bool

    def update(self, value: float) -> float:
        """Score of the newest row, from what came before."""


@dataclass
class Scored:
    """A score from elsewhere, with a threshold and our pause between alarms."""

    score: Callable[[float], float]
    threshold: float
    model: Any = None
    fires: bool = False
    _since: int = field(default=QUIET + 1)

    def update(self, value: float) -> float:
        """Score the row; it fires at the threshold, outside the pause."""
        found = self.score(value) if math.isfinite(value) else 0.0
        found = found if math.isfinite(found) else 0.0
        self.fires = found >= self.threshold and self._since > QUIET
        self._since = 1 if self.fires else self._since + 1
        return found


def _blind() -> Scored:
    rows = -1

    def score(value: float) -> float:
        nonlocal rows
        rows += 1
        return float(rows % 600 == 0 < rows)

    return Scored(score, 1.0)


def _gaussian(window: int | None) -> Scored:
    stock: Any = anomaly.GaussianScorer
    model = stock(window_size=window, grace_period=100)

    def score(value: float) -> float:
        try:
            found = float(model.score_one(None, value))
        except TypeError:  # the variance of its window fell a rounding below 0
            found = 0.0
        model.learn_one(None, value)
        return found

    return Scored(score, 0.999, model)


def _deviation() -> Scored:
    model: Any = anomaly.StandardAbsoluteDeviation()

    def score(value: float) -> float:
        found = model.score_one({}, value)
        model.learn_one({}, value)
        return float(found)

    return Scored(score, 3.0, model)


def _trees() -> Scored:
    scale: Any = preprocessing.MinMaxScaler()
    model: Any = anomaly.HalfSpaceTrees(seed=7)

    def score(value: float) -> float:
        row = {"value": value}
        scale.learn_one(row)
        scaled = scale.transform_one(row)
        found = model.score_one(scaled)
        model.learn_one(scaled)
        return float(found)

    return Scored(score, 0.95, model)


def _drift(model: Any) -> Scored:
    def score(value: float) -> float:
        model.update(value)
        return float(model.drift_detected)

    return Scored(score, 1.0, model)


CONTENDERS: dict[str, Callable[[], Rows]] = {
    "series_novelty": SeriesNovelty,
    "blind, every 600 rows": _blind,
    "river GaussianScorer()": lambda: _gaussian(None),
    "river GaussianScorer(100)": lambda: _gaussian(100),
    "river StandardAbsoluteDeviation": _deviation,
    "river HalfSpaceTrees": _trees,
    "river ADWIN": lambda: _drift(drift.ADWIN()),  # type: ignore[no-untyped-call]
    "river PageHinkley": lambda: _drift(drift.PageHinkley()),
}
"""By the name in the report; the first is ours. Thresholds of the others are textbook values."""
