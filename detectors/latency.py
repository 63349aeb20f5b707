"""D05, rule: a tool is far slower than its registry entry declares. Throttles, never opens."""

from bisect import bisect_left, insort
from collections import deque
from math import inf

from detectors.base import RATIO_MAX, Detector, Json, rounded

_CALLS = 20  # the fewest of which a 95th percentile is more than the slowest call
_RANK = 18  # 95th percentile of 20 by nearest rank: the second slowest, so one slow call is nothing
_FACTOR = 3.0  # declared seconds are typical ones, and a healthy tail reaches twice that


class LatencyQuantile(Detector):
    """95th percentile of a tool's last 20 calls against 3 times its declared seconds.

    It can't know what the registry doesn't declare; `LatencyBaseline` learns that.

    Notes
    -----
    Score: percentile / (3 x declared) in [0, 1000]; 0 before 20 calls or without a declaration;
    fires above 1. Durations that are no finite number >= 0 are left out. State ≈ 0.5 kB; 1 µs.

    Examples
    --------
    >>> latency = LatencyQuantile()
    >>> calls = [1.0] * 20 + [4.0, 4.0]
    >>> [i for i, seconds in enumerate(calls) if latency.update(seconds, declared=1.0) > 1]
    [21]
    """

    bounds = (0.0, RATIO_MAX)
    n0 = _CALLS
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._recent: deque[float] = deque()
        self._ranked: list[float] = []
        self._declared: float | None = None

    def update(self, seconds: float, declared: float | None) -> float:
        """Take the duration of one call, and the seconds declared for the tool now."""
        if not 0 <= seconds < inf:
            return self.score
        self.n += 1
        self._keep(seconds)
        self._declared = declared
        self.score, self.fires = 0.0, False
        if declared is not None and declared > 0 and len(self._ranked) == _CALLS:
            ratio = self._ranked[_RANK] / (_FACTOR * declared)
            self.score = rounded(min(ratio, RATIO_MAX))
            self.fires = self.score > self.threshold
        return self.score

    def _keep(self, seconds: float) -> None:
        self._recent.append(seconds)
        insort(self._ranked, seconds)
        if len(self._recent) > _CALLS:
            del self._ranked[bisect_left(self._ranked, self._recent.popleft())]

    def _facts(self) -> dict[str, Json]:
        full = len(self._ranked) == _CALLS
        return {
            "observed": self._ranked[_RANK] if full else None,
            "calls": len(self._ranked),
            "declared": self._declared,
            "factor": _FACTOR,
        }
