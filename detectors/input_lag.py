"""D41: how late the steps are of which detectors hear, by the broker's clock; no detector itself."""

from dataclasses import dataclass

from detectors.base import rounded

LATE_SECONDS = 5.0
"""A stop must be out and confirmed within so long; what is judged later was over before."""
WELL_SECONDS = 1.0
"""As long as a held call waits."""
HELD_SECONDS = 30.0  # a pause of a worker's start is no illness
_MOST = 20.0  # of one step: a few that are very late are no state of the pipeline
_WEIGHT = 1 / 32  # of the newest step


@dataclass(slots=True)
class InputLag:
    """From the moment at which the broker took an event to that at which its step reached the detectors.

    Both moments stand in the records, so a replay finds the same; what waited on an agent's disk does not
    count. It does not see how far the detectors' own process is behind: that is no record's to tell, and
    stands in the metric `tracefuse_lag_records`.

    Notes
    -----
    Late from a mean of 5 s that has lasted for 30 s, where each step counts as 20 s at most; in time again
    below 1 s. 0.3 µs; 40 bytes a partition.

    Examples
    --------
    >>> lag = InputLag()
    >>> said = [lag.add(20.0 if 100 <= i < 200 else 0.1, now=float(i)) for i in range(400)]
    >>> [(i, word) for i, word in enumerate(said) if word is not None]
    [(138, True), (296, False)]
    """

    level: float = 0.0  # s, moving mean
    since: float = 0.0  # record time from which on it has been late; 0: it is not
    ill: bool = False

    @property
    def seconds(self) -> float:
        """The mean, as it is told."""
        return rounded(self.level)

    def add(self, seconds: float, now: float) -> bool | None:
        """Take one step's lag; whether what comes is now late (True) or in time again (False), else None."""
        seconds = 0.0 if seconds < 0.0 else seconds if seconds < _MOST else _MOST
        self.level += (seconds - self.level) * _WEIGHT
        if self.ill:
            self.ill = self.level >= WELL_SECONDS
            return None if self.ill else False
        if self.level < LATE_SECONDS:
            self.since = 0.0
            return None
        self.since = self.since or now
        if now - self.since < HELD_SECONDS:
            return None
        self.ill, self.since = True, 0.0
        return True
