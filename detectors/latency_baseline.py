"""D05, statistical: a tool is slower than its own past lets expect. Annotates."""

from collections import deque
from math import erfc, exp, inf, log, log10, sqrt
from statistics import NormalDist

from detectors.base import QUANTILES, Json, StatisticalDetector, rounded
from detectors.moving import Moving
from detectors.shrinkage import Normal

_CLIP = 5.0  # standard deviations; what is further out teaches no more than this
_SPREAD_MIN = 0.05  # 5 %: a tool that always takes the same time must not alarm on a hair
_SHORTEST = 1e-6  # events carry whole microseconds; below that a logarithm tells nothing
_SPREAD_WORTH = (
    30.0  # calls that siblings' spread is worth: the weight n/(n + 30) of detection.md §6
)
_UNVETTED = (
    10  # calls that may pass while siblings are asked; a slow beginner's would vouch for itself
)
_OF_LAST, _SLOW_MIN = 10, 3  # one slow call is no incident
_ROOT_2 = sqrt(2)
_Z = {name: NormalDist().inv_cdf(q) for name, q in QUANTILES.items()}


class LatencyBaseline(StatisticalDetector):
    """Three of the last ten calls slower than all but one in ten thousand.

    The logarithm of the duration is held against a moving mean and spread.
    It supposes one hump: give each size class of a tool its own detector. A tool that slows down
    over days is learnt, not found. Durations heavier in the tail than lognormal alarm more often. One that
    nobody knows is held against what its siblings let expect, in the measure in which they are alike.

    Parameters
    ----------
    quiet
        Calls after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 p of this call in [0, 16], slow side only; 0 for the first 200 calls, no alarm for
    100 more. State ≈ 0.8 kB; about 2 µs.

    Examples
    --------
    >>> latency = LatencyBaseline()
    >>> calls = [0.9, 1.0, 1.2, 1.1] * 80 + [1.0, 9.0, 9.0, 1.0, 9.0]
    >>> [i for i, seconds in enumerate(calls) if latency.update(seconds) and latency.fires]
    [324]
    """

    bounds = (0.0, 16.0)
    n0 = 200
    threshold = 4.0  # p = 1e-4

    def __init__(self, quiet: int = 50) -> None:
        super().__init__(quiet)
        self._usual = Moving()
        self._slow: deque[bool] = deque(maxlen=_OF_LAST)
        self._seconds = 0.0
        self._prior: Normal | None = None
        # Of the logarithms that a beginner has learned: how many, their sums about the first of them.
        self._begun = 0
        self._first = self._total = self._squares = 0.0

    def inherit(self, prior: Normal, siblings: int) -> None:
        """Begin with what so many siblings let expect; what was seen so far stays, and outweighs it soon."""
        if self.status == "live":
            return
        if self._prior is None and self._begun < _UNVETTED:
            self._begun = 0
            self._first = self._total = self._squares = 0.0
        self._prior, self.siblings = prior, siblings

    @property
    def own(self) -> tuple[int, float, float]:
        """Calls, mean and variance of their logarithms: what siblings may know."""
        if self.n < self.n0:
            mean, variance = self._plain()
            return self._begun, rounded(mean), rounded(variance)
        return self.n, rounded(self._usual.mean), rounded(max(self._usual.variance, 0.0))

    def update(self, seconds: float) -> float:
        """Take the duration of one call; what is no finite number >= 0 is left out."""
        if not 0 <= seconds < inf:
            return self.score
        value = log(max(seconds, _SHORTEST))
        mean, spread = self._expected()
        known = self.n >= self.n0 or self._prior is not None
        self.score = self._surprise((value - mean) / spread) if known else 0.0
        within = min(max(value, mean - _CLIP * spread), mean + _CLIP * spread)
        if self._prior is None:
            self._begin(value)
        elif self.score < self.threshold or self._until:
            self._begin(
                within
            )  # what its siblings would call odd teaches nothing before it was said
        if self.n or self._prior is not None:
            value = within
        self._usual.learn(value)
        self.n += 1
        if self.status == "live":
            self._prior = None
        self._seconds = seconds
        self._slow.append(self.score >= self.threshold)
        self._decide(self._slow[-1] and sum(self._slow) >= _SLOW_MIN)
        return self.score

    def _begin(self, value: float) -> None:
        """Plain sums for a beginner: in a moving mean its first call would weigh most of all for long."""
        if self.n >= self.n0:
            return
        if not self._begun:
            self._first = value
        self._begun += 1
        self._total += value - self._first
        self._squares += (value - self._first) ** 2

    def _plain(self) -> tuple[float, float]:
        if not self._begun:
            return 0.0, 0.0
        away = self._total / self._begun
        return self._first + away, max(self._squares / self._begun - away * away, 0.0)

    def _expected(self) -> tuple[float, float]:
        """Mean of the logarithms and their spread: its own, or a beginner's blended with its siblings'."""
        prior = self._prior
        if prior is None or self.n >= self.n0:
            return self._usual.mean, max(sqrt(max(self._usual.variance, 0.0)), _SPREAD_MIN)
        (mean, variance), n = self._plain(), self._begun
        known = n + prior.worth
        mean = (n * mean + prior.worth * prior.mean) / known
        variance = (n * variance + _SPREAD_WORTH * prior.variance) / (n + _SPREAD_WORTH)
        variance *= 1 + 1 / known  # of a call, and the doubt about the mean
        return mean, max(sqrt(variance), _SPREAD_MIN)

    @property
    def chance(self) -> float | None:
        return 10.0**-self.score if self.n > self.n0 else None

    def _surprise(self, z: float) -> float:
        if z <= 0:
            return 0.0
        p = 0.5 * erfc(z / _ROOT_2)
        return rounded(-log10(max(p, 1e-16)))

    def _facts(self) -> dict[str, Json]:
        mean, spread = self._expected()
        return {
            "observed": self._seconds,
            "expected": {name: rounded(exp(mean + z * spread)) for name, z in _Z.items()},
            "slow_of_last_10": sum(self._slow),
        }
