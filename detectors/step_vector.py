"""D40 for single steps, statistical: a step as a whole is unlike the others. Annotates."""

from collections.abc import Mapping
from math import log1p, sqrt
from typing import Any

from river import base

from detectors.base import Json, StatisticalDetector, rounded
from detectors.conformal_tail import ConformalTail, stored
from detectors.moving import Moving

_CLIP = 5.0  # standard deviations; what is further out teaches no more than this
_SPREAD_MIN = 0.25  # so that one rare flag isn't 6 deviations and drowns a tenfold cost
_VARIANCE_MIN = _SPREAD_MIN**2
# Seconds by which a machine that is shared delays a call now and then: shorter times are alike. By the
# millisecond, a call of 3 ms that took 30 was as odd as ten times the cost.
_JITTER_S = 0.03
_FEATURES_MAX = 12  # state must stay bounded whatever names come in
_FEATURE_WARM = 100  # values before a feature has a say; at 30 a spread comes out a third too small
_SCORES = 1000  # above all of so many: one in a thousand
_VALUE_MAX = 1e9  # features are logarithms and flags; a square of this still keeps its digits
_DEVIATION_MAX = 1e6  # its fourth power is finite, and its score still below 1


def step_features(
    duration_seconds: float, cost_usd: float, tokens: int, failed: bool, write: bool
) -> dict[str, float]:
    """Features of one step: magnitudes as logarithms, flags, and the ratios that matter more.

    >>> features = step_features(0.8, 0.003, 900, failed=False, write=True)
    >>> round(features["cost_per_token"], 3), features["write"]
    (1.203, 1.0)
    """
    duration = log1p(max(duration_seconds, 0.0) / _JITTER_S)
    # A call of a tool has none, and none is not a small amount.
    if not (tokens > 0 or cost_usd > 0):
        return {"duration": duration, "failed": float(failed), "write": float(write)}
    cost = log1p(max(cost_usd, 0.0) * 1e6)
    size = log1p(max(tokens, 0))
    return {
        "duration": duration,
        "failed": float(failed),
        "write": float(write),
        "cost": cost,
        "tokens": size,
        "cost_per_token": cost - size,
        "duration_per_token": duration - size,
    }


class _Feature:
    """A feature as earlier builds kept it: their checkpoints must be read, and then it is learnt anew."""

    __slots__ = ("mean", "n", "variance")
    mean: Any
    n: int
    variance: Any


class StepVector(StatisticalDetector, base.AnomalyDetector):
    """Distance of a step from the agent's usual ones, over all its features at once.

    Each feature is held against its moving mean and spread. The
    fourth-power mean of the deviations lies between their mean square, which forgets one great
    deviation among many small ones, and their maximum, which a rare flag rules. It is calibrated by
    rank among the last 1,000, and beyond these by a fitted tail: how far an alarm passes all of them
    is what an alarm budget asks for. Features count as independent: a step that is odd only in a
    combination needs that combination as a feature (`step_features` has cost per token). It fails
    where everything is off by a little: +2 deviations in all is normal here.

    Missing features are left out of the mean; new ones are learnt for 100 steps before they count;
    at most 12 are kept, and what is not a number within 1e9 is ignored.

    Parameters
    ----------
    quiet
        Steps after an alarm without another one, >= 0.

    Notes
    -----
    Score: d / (1 + d) in [0, 1) of that mean d; 0 for the first 100 steps. It fires above the last
    1,000 scores, so about once in 1,000 normal steps, and never before 1,100. `p` says how rare that
    is; 1 until then. State ≈ 12 kB in memory. Preferred to river's linear OneClassSVM behind a
    StandardScaler: on synthetic steps (tokens x10, duration x20) this has AUC 0.97 and 0.99, that
    0.51 and 0.48.

    Examples
    --------
    >>> import random
    >>> rng, vector = random.Random(7), StepVector()
    >>> for _ in range(1200):
    ...     _ = vector.update({"cost": rng.gauss(8, 1), "tokens": rng.gauss(6, 1)})
    >>> vector.update({"cost": 8.0, "tokens": 20.0}), vector.p < 1e-6, vector.fires
    (0.925025, True, True)
    """

    bounds = (0.0, 1.0)
    n0 = 100
    threshold = 1.0  # no score gets there; from 1,000 scores on it is the highest of those

    def __init__(self, quiet: int = 100) -> None:
        super().__init__(quiet)
        self.p = 1.0
        self._usual_of: dict[str, Moving] = {}
        self._tail = ConformalTail(_SCORES, warm=_SCORES)
        self._latest: dict[str, float] = {}

    def score_one(self, x: Mapping[str, float]) -> float:  # type: ignore[override]  # river: dict
        """Score of a step, in [0, 1). Changes nothing."""
        return _score(self._distance(self._take(x, learn=False)))

    def learn_one(self, x: Mapping[str, float]) -> None:  # type: ignore[override]  # river: dict
        """Take a step as normal; single values beyond 5 deviations teach as if they were at 5."""
        self._meet(x)
        self._take(x, learn=True)
        self.n += 1

    def update(self, x: Mapping[str, float]) -> float:
        """Score a step, rank it among the last 1,000, learn it."""
        self._meet(x)
        self._latest = self._take(x, learn=True)
        distance, self.p = self._distance(self._latest), 1.0
        self.score = _score(distance)
        if self.n >= self.n0:
            highest = self._tail.highest
            self.threshold = StepVector.threshold if highest is None else _score(highest)
            self.p = 10.0 ** -self._tail.update(distance)
        self.n += 1
        self._decide(self.score > self.threshold)
        return self.score

    @property
    def chance(self) -> float | None:
        return self.p if self.n > self.n0 + _SCORES else None

    def _meet(self, x: Mapping[str, float]) -> None:
        """Make room for features not seen before; by name, whatever order they came in."""
        features = self._usual_of
        if len(features) < _FEATURES_MAX and not x.keys() <= features.keys():
            for name in sorted(x.keys() - features.keys())[: _FEATURES_MAX - len(features)]:
                features[name] = Moving()

    def _take(self, x: Mapping[str, float], learn: bool) -> dict[str, float]:
        """Deviation of each feature that has a say, in the order the features were first seen."""
        found = {}
        for name, usual in self._usual_of.items():
            value = x.get(name)
            if value is None or not -_VALUE_MAX <= value <= _VALUE_MAX:  # NaN is not, either
                continue
            if usual.n >= _FEATURE_WARM:
                mean = usual.mean
                variance = usual.square - mean * mean
                spread = sqrt(variance) if variance > _VARIANCE_MIN else _SPREAD_MIN
                z = (value - mean) / spread
                if not -_CLIP <= z <= _CLIP:
                    z = min(max(z, -_DEVIATION_MAX), _DEVIATION_MAX)
                    value = mean + _CLIP * spread * (1 if z > 0 else -1)
                found[name] = z
            if learn:
                usual.learn(value)
        return found

    def _distance(self, deviations: Mapping[str, float]) -> float:
        if self.n < self.n0 or not deviations:
            return 0.0
        total = 0.0
        for z in deviations.values():
            square = z * z
            total += square * square
        return stored(sqrt(sqrt(total / len(deviations))))

    def _usual(self) -> dict[str, float] | None:
        known = self._tail.quantiles()
        return known and {name: _score(distance) for name, distance in known.items()}

    def _facts(self) -> dict[str, Json]:
        ranked = sorted(self._latest.items(), key=lambda term: (-abs(term[1]), term[0]))
        total = sum(z**4 for z in self._latest.values()) or 1.0
        return {
            "observed": self.score,
            "expected": self._usual(),
            "p": self.p,
            "scores": self._tail.kept,
            "contributions": [
                {"feature": name, "deviation": round(z, 3), "share": round(z**4 / total, 3)}
                for name, z in ranked[:3]
            ],
        }


def _score(distance: float) -> float:
    return rounded(distance / (1 + distance))
