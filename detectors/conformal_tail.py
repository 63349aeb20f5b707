"""How rare a raw score is: its rank among the kept ones, and beyond them a fitted tail.

Shared by detectors whose raw scores have no scale of their own (distances, residuals); no detector.
"""

from array import array
from bisect import bisect_left, insort
from math import exp, fsum, log10
from struct import Struct
from typing import Any

from detectors.base import QUANTILES, rounded

_SHARE = 0.05  # of the kept scores count as the tail: 2 % of a few hundred are too few for a fit
_TAIL_MIN = 10
_SHAPE_MAX = 0.5  # moments of a generalized Pareto exist below it; 0 at least: no end is supposed
SURPRISE_MAX = 8.0
"""-log10 p stops here: one in a hundred million is as far as a fit to 250 scores may be stretched."""
_STORABLE = 3e38  # single precision ends there
_single = Struct("f")
_pack, _unpack = _single.pack, _single.unpack


class ConformalTail:
    """Conformal p-value of a score against the last `size`, as -log10 p.

    A rank can't fall below 1 / (size + 1), and among a few hundred scores all that beat them look
    alike. So scores in the top 5 % are judged by a generalized Pareto distribution, fitted by
    moments to what exceeds that level. Exact for exchangeable scores; those of a series are not, so
    whoever alarms on it still has to watch how often.

    Kept in single precision, by age and sorted: 8 bytes a score, 4 of them in a checkpoint. About
    1 µs, and 15 µs in the tail.

    Parameters
    ----------
    size
        Scores kept.
    warm
        Scores below which nothing is said, >= 20.

    Examples
    --------
    >>> tail = ConformalTail(size=1000, warm=100)
    >>> said = [tail.update((i * 0.618 % 1) ** 2) for i in range(500)]
    >>> said[99], tail.update(0.25), tail.update(1.1)
    (0.0, 0.300164, 3.027893)

    References
    ----------
    [^1]: Siffer et al. (2017). Anomaly detection in streams with extreme value theory. KDD.
    """

    def __init__(self, size: int, warm: int) -> None:
        self.size = size
        self.warm = warm
        self._order = array("f")
        self._ranked = array("f")
        self._next = 0

    @property
    def kept(self) -> int:
        """Scores kept, at most `size`."""
        return len(self._order)

    @property
    def highest(self) -> float | None:
        """The highest score kept; None while fewer than `size` are."""
        return self._ranked[-1] if len(self._ranked) == self.size else None

    @property
    def usual(self) -> float:
        """What nine of ten kept scores do not pass: of less nobody need ask. 0 while there are none."""
        return self._ranked[len(self._ranked) * 9 // 10] if self._ranked else 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {
            "size": self.size, "warm": self.warm, "_order": self._order, "_next": self._next,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ranked = array("f", sorted(self._order))

    def score_one(self, score: float) -> float:
        """-log10 p in [0, 8] of a finite score >= 0; 0 while not warm. Changes nothing."""
        return self._judge(stored(score))

    def update(self, score: float) -> float:
        """Judge a finite score >= 0, then keep it. Returns -log10 p in [0, 8]; 0 while not warm."""
        value = stored(score)
        found = self._judge(value)
        self._keep(value)
        return found

    def quantiles(self) -> dict[str, float] | None:
        """Median, 95 % and 99.9 % of the scores kept; None while there are none."""
        if not self._ranked:
            return None
        last = len(self._ranked) - 1
        return {name: rounded(self._ranked[round(q * last)]) for name, q in QUANTILES.items()}

    def _judge(self, value: float) -> float:
        ranked, kept = self._ranked, len(self._ranked)
        if kept < self.warm:
            return 0.0
        above = kept - bisect_left(ranked, value)
        tail = max(_TAIL_MIN, int(_SHARE * kept))
        p = (1 + above) / (1 + kept)
        if above >= tail:  # nearly always; far from both bounds
            return rounded(-log10(p))
        level = ranked[kept - tail - 1]
        p = self._beyond(value - level, [v - level for v in ranked[kept - tail :]]) or p
        return rounded(min(max(-log10(max(p, 1e-300)), 0.0), SURPRISE_MAX))

    def _beyond(self, excess: float, excesses: list[float]) -> float | None:
        """P of exceeding the level by so much; None where there is nothing to fit."""
        n = len(excesses)
        # Exactly rounded sums: the same on every build.
        mean = fsum(excesses) / n
        variance = fsum([(e - mean) ** 2 for e in excesses]) / n
        if excess <= 0 or variance <= 0:
            return None
        shape = min(max(0.5 * (1 - mean * mean / variance), 0.0), _SHAPE_MAX)
        ratio = excess / (mean * (1 - shape))
        share = (n + 1) / (len(self._ranked) + 1)
        if shape < 1e-3:
            return share * exp(-min(ratio, 600.0))
        return float(share * (1 + shape * ratio) ** (-1 / shape))

    def _keep(self, value: float) -> None:
        ranked = self._ranked
        if len(self._order) < self.size:
            self._order.append(value)
        else:
            del ranked[bisect_left(ranked, self._order[self._next])]
            self._order[self._next] = value
            self._next = (self._next + 1) % self.size
        insort(ranked, value)


def stored(score: float) -> float:
    """A score as it is kept, in single precision: what is to be compared with kept ones must be so, too."""
    kept: float = _unpack(_pack(_STORABLE if score > _STORABLE else score))[0]
    return kept
