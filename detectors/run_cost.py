"""D06, statistical: a run costs more, step by step, than 99 of 100 finished runs of its task."""

from array import array
from collections.abc import Sequence
from math import exp, log, sqrt

from river import stats

from detectors.base import Json, StatisticalDetector, rounded

PLACES = 10
"""Places on the way of a run at which costs are compared: its steps 1, 2, 4, … 256, and beyond."""

_FADING = 0.01  # a memory of about 200 runs
_CLIP = 5.0  # standard deviations; what is further out teaches no more than this
_SPREAD_MIN = 0.25  # runs that always cost the same must not alarm on a quarter more
_TAIL = 0.99  # of the finished runs; the catalogue's p < 0.01
_HIGHEST_MIN = 2.0  # deviations; below, a quantile of few runs is chance
_Z_MAX = 100.0
_SOFT = 0.8  # of the cap; where the rule of the cap warns
_USD_MIN, _USD_MAX = 1e-9, 1e12  # a logarithm needs more than nothing; no true amount is above


def place(steps: int) -> int:
    """Where on its way a run is after so many steps.

    >>> [place(steps) for steps in (1, 2, 3, 4, 5, 256, 257, 9000)]
    [0, 1, 2, 2, 3, 8, 9, 9]
    """
    return min((steps - 1).bit_length(), PLACES - 1)


class RunCost(StatisticalDetector):
    """What a run has cost so far, against finished runs of the same task at the same place.

    At each place the logarithm of the cost is held against mean and spread of all finished runs, one that
    was over by then counted with all that it cost. A run's number is the highest deviation on its way,
    and the limit is what 99 of 100 finished runs stayed below (P2 quantile), so one healthy run in a
    hundred warns, whatever the costs scatter. It warns; it fires where besides the owner's cap is nearly
    reached. It fails for runs that cost nothing, for a task whose runs have nothing in common, and
    where more than one finished run in a hundred is dear already: it learns that, the owner's cap does not.

    Notes
    -----
    Score: deviations at this place in [0, 100], dear side only; 0 until 30 runs have ended, and no alarm
    until 130 have. `n` counts finished runs, and a run alarms as long as it is dear: who asks says it once.
    0.7 kB; 1.4 µs a step, 19 µs at the end of a run.

    Examples
    --------
    >>> cost = RunCost()
    >>> for i in range(200):
    ...     _ = cost.update([0.01, 0.02, 0.04, 0.06 + i % 10 / 100], over=True)
    >>> cost.update([0.01, 0.02, 0.90]), cost.warns, cost.fires
    (12.454061, True, False)

    References
    ----------
    [^1]: Jain, Chlamtac (1985). The P2 algorithm for dynamic calculation of quantiles. CACM 28(10).
    """

    bounds = (0.0, _Z_MAX)
    n0 = 30
    threshold = _HIGHEST_MIN

    def __init__(self) -> None:
        super().__init__(quiet=0)
        self._mean = array("d", [0.0] * PLACES)
        self._variance = array("d", [0.0] * PLACES)
        self._highest = stats.Quantile(_TAIL)
        self._at = 0
        self._usd = 0.0

    def update(self, spent: Sequence[float], over: bool = False, of_cap: float = 0.0) -> float:
        """Take a run's costs.

        Parameters
        ----------
        spent
            USD after its steps 1, 2, 4, …, the newest last; at most `PLACES` of them, never falling.
        over
            Whether the run has ended well: then it is learnt.
        of_cap
            What it has cost, as a share of what it may.
        """
        self._at, self._usd = len(spent) - 1, spent[-1]
        self.score = rounded(max(self._deviation(self._at, self._usd), 0.0))
        dear = self.score > self.threshold and self.status == "live"
        self.fires = dear and of_cap >= _SOFT
        self.warns = dear and not self.fires
        if over:
            self._learn(spent)
        return self.score

    def _deviation(self, at: int, usd: float) -> float:
        if self.n < self.n0 or usd < _USD_MIN:
            return 0.0
        z = (log(min(usd, _USD_MAX)) - self._mean[at]) / self._spread(at)
        return min(max(z, -_Z_MAX), _Z_MAX)

    def _spread(self, at: int) -> float:
        return max(sqrt(self._variance[at]), _SPREAD_MIN)

    def _learn(self, spent: Sequence[float]) -> None:
        if self.n >= self.n0:
            highest = max(self._deviation(at, usd) for at, usd in enumerate(spent))
            self._highest.update(min(highest, _CLIP))  # who teaches with dear runs gets no further
            self.threshold = max(rounded(self._highest.get() or 0.0), _HIGHEST_MIN)
        weight = max(_FADING, 1 / (self.n + 1))
        for at in range(PLACES):
            value = log(min(max(spent[min(at, len(spent) - 1)], _USD_MIN), _USD_MAX))
            if self.n >= self.n0:
                reach = _CLIP * self._spread(at)
                value = min(max(value, self._mean[at] - reach), self._mean[at] + reach)
            away = value - self._mean[at]
            self._mean[at] += weight * away
            self._variance[at] = (1 - weight) * (self._variance[at] + weight * away * away)
        self.n += 1

    def _facts(self) -> dict[str, Json]:
        mean, known = self._mean[self._at], self.n >= self.n0
        high = min(mean + self.threshold * self._spread(self._at), log(_USD_MAX))
        return {
            "observed": rounded(self._usd),
            "expected": {"median": rounded(exp(mean)), "p99": rounded(exp(high))}
            if known
            else None,
        }
