"""D01, rule: so many calls of the last minute failed that the next ones should not run."""

from detectors.base import Detector, Json, LastMinute, rounded


class ErrorRate(Detector):
    """Share of failed calls in the last minute, and failures in a row.

    Fires at 20 calls of which half failed, or at 5 failures in a row of one tool. It can't see a
    rise from 2 % to 20 % (`ErrorBaseline` does), and a tool called less than 20 times a minute only
    through its failures in a row.

    Parameters
    ----------
    calls_min
        Calls in the window below which the share means nothing, >= 1.
    failure_ratio
        Share in (0, 1] from which it fires.
    consecutive_max
        Failures in a row that fire, >= 1. None for a key that mixes tools: one broken tool in a row
        is not a broken agent.

    Raises
    ------
    ValueError
        For the developer, when a parameter is out of range.

    Notes
    -----
    Score: share of failures in [0, 1]; 0 before the first call. State ≈ 0.4 kB; about 1 µs.

    Examples
    --------
    >>> rate = ErrorRate()
    >>> outcomes = [False, True] * 10
    >>> [i for i, failed in enumerate(outcomes) if rate.update(failed, now=float(i)) and rate.fires]
    [19]
    >>> rate.evidence()["failures"], rate.score
    (10, 0.5)
    """

    bounds = (0.0, 1.0)

    def __init__(
        self,
        calls_min: int = 20,  # Hystrix's volume threshold
        failure_ratio: float = 0.5,  # Hystrix and resilience4j agree
        consecutive_max: int | None = 5,  # Envoy's consecutive_5xx
    ) -> None:
        super().__init__()
        if calls_min < 1 or (consecutive_max is not None and consecutive_max < 1):
            raise ValueError("calls_min and consecutive_max must be at least 1")
        if not 0 < failure_ratio <= 1:
            raise ValueError(f"failure_ratio must lie in (0, 1], not {failure_ratio}")
        self.calls_min = calls_min
        self.failure_ratio = self.threshold = failure_ratio
        self.consecutive_max = consecutive_max
        self.consecutive = 0
        self._window = LastMinute()

    def update(self, failed: bool, now: float) -> float:
        """Take the outcome of one call that ended at `now`."""
        window = self._window
        window.add(now, failed)
        self.n += 1
        self.consecutive = self.consecutive + 1 if failed else 0
        self.score = rounded(window.marked / window.count)
        in_a_row = self.consecutive_max is not None and self.consecutive >= self.consecutive_max
        spike = window.count >= self.calls_min and self.score >= self.threshold
        self.fires = spike or in_a_row
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self.score,
            "calls": self._window.count,
            "failures": self._window.marked,
            "consecutive": self.consecutive,
            "calls_min": self.calls_min,
            "consecutive_max": self.consecutive_max,
        }
