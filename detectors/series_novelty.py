"""D04, statistical: a series shows a value, a shape or a course that it has not shown. Annotates."""

from math import log10

import numpy as np
from river import base

from detectors.base import Json, StatisticalDetector, rounded
from detectors.conformal_tail import SURPRISE_MAX, ConformalTail
from detectors.neighbours import NEIGHBOURS, History, Shingles, Values

_SCORES = 5000  # kept of each kind: three and a half days of minutes, the low end of a stable p
_WARM = 100  # scores of a kind before it has a say; a p of 1 % can't be told from fewer
_VALUE_REACH = 2000  # values compared with; 1,000 and 5,000 found a little less
# The first fifth is let go, as a start-up. Not settled: it is 8 points better on one set of series and
# 3 worse on another (docs/benchmarks.md).
_VALUE_SHARE, _VALUE_LEAST = 0.8, 300
_YOUNG, _OLD = 500, 10_000  # rows; the second is a week of minutes
_SHAPE = Shingles(points=19, stride=1, reach=1000)  # 16 to 24 rows found the same
_COURSE = Shingles(points=16, stride=16, reach=2000, share=0.8)  # 256 rows, a day of 5 minutes
_COURSE_EVERY = 4  # rows; in so few a course of 256 hardly changes
_FIT_MAX = 0.5  # of the distance to all: where nearest courses are no nearer, nothing recurs
_FIT_FADING = 0.02  # a memory of about 100 comparisons, 400 rows
_VALUE_MAX = 1e30  # its square times 19 is finite
_KINDS = ("value", "shape", "course")


class SeriesNovelty(StatisticalDetector, base.DriftDetector):
    """Novelty of the newest row of one numeric series, on three scales at once.

    A row is held against what the series itself has shown: its **value** against the nearest values,
    its **shape** (the last 19 rows) against the nearest windows, its **course** (the last 256 rows,
    in means of 16) against the nearest courses. Each distance is judged by its rank among its own
    past (`ConformalTail`), and the rarest of the three is the score. So it needs no scale, range,
    length or period in advance: a season is learnt as courses that recur. Courses have a say only
    while their nearest neighbours are at least twice as near as the average one.

    Values come one by one, so among many rows some rare one is always due: past 500 rows they must
    be rarer in the same measure, up to 10,000. Shapes and courses overlap, and don't.

    It fails where the odd has come before, in a series whose noise is as large as its faults, and
    where something moves slower than it learns (a thousand rows): only a frozen reference sees that.
    A lasting shift alarms once, and is normal some 50 rows later.

    Missing values (None, NaN, infinite) are left out: no score, no alarm, nothing learnt.

    Parameters
    ----------
    quiet
        Rows after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 p in [0, 8]; 0 for the first 100 rows, no alarm for 100 more. It fires from 2.0, one
    row in a hundred: chosen on labelled series, see docs/benchmarks.md. About 80 µs a row
    on one core, so give it a row a minute, not each event. State ≈ 85 kB pickled, 190 kB in memory.

    Examples
    --------
    >>> series = [100 + 30 * (i % 24 > 8) + i * 7 % 5 for i in range(720)]
    >>> series[600] = 180
    >>> novelty = SeriesNovelty()
    >>> [i for i, value in enumerate(series) if novelty.update(value) and novelty.fires]
    [600]

    References
    ----------
    [^1]: Burnaev, Ishimtsev (2016). Conformalized density- and distance-based anomaly detection in
          time-series data. arXiv:1608.04585.
    """

    bounds = (0.0, SURPRISE_MAX)
    n0 = _WARM
    threshold = 2.0

    def __init__(self, quiet: int = 100) -> None:
        super().__init__(quiet)
        self._history = History(_COURSE.rows)
        self._values = Values()
        self._tails = (
            ConformalTail(_SCORES, _WARM),
            ConformalTail(_SCORES, _WARM),
            ConformalTail(_SCORES // _COURSE_EVERY, _WARM // 2),
        )
        self._fit = 1.0
        self._scores = [0.0, 0.0, 0.0]
        self._observed: float | None = None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_values"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._values = Values(self._history.last(self._remembered()))

    @property
    def drift_detected(self) -> bool:
        """River's word for `fires`."""
        return self.fires

    def update(self, value: float | None) -> float:  # type: ignore[override]  # river: None
        """Take the newest value of the series."""
        if value is None or not -np.inf < value < np.inf:
            self._observed, self.score, self.fires = None, 0.0, False
            return self.score
        value = min(max(float(value), -_VALUE_MAX), _VALUE_MAX) + 0.0  # no negative zero
        self._observed = value
        self._scores[0] = self._value(value)
        self._learn(value)
        self._scores[1] = self._shape()
        if self.n % _COURSE_EVERY == 0:
            self._scores[2] = self._course()
        self.score = rounded(max(self._scores)) if self.n > self.n0 else 0.0
        self._decide(self.score >= self.threshold)
        return self.score

    def _learn(self, value: float) -> None:
        before = self._remembered()
        self._values.add(value)
        self._history.append(value)
        self.n += 1
        leaving = before + 1 - self._remembered()
        if leaving:
            self._values.drop(float(self._history.last(before + 1)[0]))

    def _remembered(self) -> int:
        """Values that a new one is compared with."""
        return min(self.n, _VALUE_REACH, max(_VALUE_LEAST, int(_VALUE_SHARE * self.n)))

    def _value(self, value: float) -> float:
        if len(self._values) <= NEIGHBOURS:
            return 0.0
        surprise = self._tails[0].update(self._values.distance(value))
        return max(surprise - max(log10(min(self.n + 1, _OLD) / _YOUNG), 0.0), 0.0)

    def _shape(self) -> float:
        found = _SHAPE.compare(self._history, self.n)
        return self._tails[1].update(found[0]) if found else 0.0

    def _course(self) -> float:
        found = _COURSE.compare(self._history, self.n)
        if not found:
            return 0.0
        nearest, average = found
        surprise = self._tails[2].update(nearest)
        recurs = self._fit < _FIT_MAX
        self._fit += _FIT_FADING * ((nearest / average if average else 1.0) - self._fit)
        return surprise if recurs else 0.0

    def _facts(self) -> dict[str, Json]:
        kind = max(range(3), key=lambda i: self._scores[i])
        shingles = _COURSE if kind == 2 else _SHAPE
        known = len(self._values) > 0
        return {
            "observed": self._observed,
            "expected": {
                "median": self._values.quantile(0.5),
                "low": self._values.quantile(0.025),
                "high": self._values.quantile(0.975),
            }
            if known
            else None,
            "kind": _KINDS[kind],
            "scores": dict(zip(_KINDS, self._scores, strict=True)),
            "nearest_rows_ago": shingles.nearest(self._history, self.n),
            "compared": len(self._values),
        }
