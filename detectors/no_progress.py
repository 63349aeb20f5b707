"""D11, statistical: call after call brings a run nothing new. Steps up the next write."""

from detectors.base import Json, StatisticalDetector, rounded

_FLOOR = (
    8  # calls: twice the exact loop's limit, so that three ways of asking one thing are no alarm
)
_PRIOR = 2 * _FLOOR  # before enough runs have ended
_RUNS_MIN = 30  # ended runs; fewer say little of what one in a hundred does
_QUANTILE = 0.99
_STRETCH_MAX = 64  # longer ones are counted as this
_KEPT = 2_000  # ended runs; then every count is halved, so that old habits fade
_CLIP = 2  # times the limit: one long run teaches no more, and it takes one in a hundred to teach at all


class NoProgress(StatisticalDetector):
    """Calls in a row without news, against the longest stretches of an agent's ended runs of one task.

    Whether a call brought news is the caller's to say: something reached that the run had not, something
    learnt, a state changed. The limit is one more than what 99 % of ended runs stay within, at least 8; it
    is 16 until 30 runs have ended. It fails where a planner gets other words for the same each time, and
    on an agent whose healthy runs often go nowhere.

    Notes
    -----
    Score: calls in a row through the limit, in [0, 64]; fires from 1. It says nothing for 100
    observations, and alarms after 100 more. The stretches are whole and small, so the quantile is exact:
    at most 65 counts, 0.6 kB; 0.5 µs a call, 5 µs a run.

    Examples
    --------
    >>> usual = NoProgress()
    >>> for run in range(60):
    ...     _ = [usual.update(calls) for calls in (0, 1, 2)], usual.update(run % 4, ended=True)
    >>> [calls for calls in range(1, 11) if usual.update(calls) and usual.fires]
    [8, 9, 10]
    """

    bounds = (0.0, float(_STRETCH_MAX))
    n0 = 100
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__(quiet=0)  # one alarm a run is the caller's affair: runs of a task overlap
        self.runs = 0
        self.limit = _PRIOR
        """Calls without news from which it fires."""
        self._stretches: dict[int, int] = {}
        self._calls = 0

    def update(self, calls: int, ended: bool = False) -> float:
        """Take a call's place in its row of calls without news (0: it brought some).

        With `ended`, the longest such row of a run that has ended: it is learnt, and nothing is judged.
        """
        self.n += 1
        self._calls = calls
        judged = 0.0 if ended or self.n < self.n0 else calls / self.limit
        self.score = rounded(min(max(judged, 0.0), float(_STRETCH_MAX)))
        self._decide(self.score >= self.threshold)
        if ended:
            self._learn(min(max(calls, 0), _CLIP * self.limit, _STRETCH_MAX))
        return self.score

    def _learn(self, longest: int) -> None:
        self.runs += 1
        self._stretches[longest] = self._stretches.get(longest, 0) + 1
        if sum(self._stretches.values()) >= _KEPT:
            halved = {length: n // 2 for length, n in sorted(self._stretches.items())}
            self._stretches = {length: n for length, n in halved.items() if n}
        if self.runs >= _RUNS_MIN:
            self.limit = max(_FLOOR, self._within(_QUANTILE) + 1)

    def _within(self, share: float) -> int:
        """The stretch that so large a share of the runs stays within."""
        wanted, seen = share * sum(self._stretches.values()), 0
        for length, count in sorted(self._stretches.items()):
            seen += count
            if seen >= wanted:
                return length
        return _STRETCH_MAX

    def _facts(self) -> dict[str, Json]:
        known = self.runs >= _RUNS_MIN
        return {
            "observed": self._calls,
            "expected": {"median": self._within(0.5), "p99": self._within(0.99)} if known else None,
            "limit": self.limit,
            "runs": self.runs,
        }
