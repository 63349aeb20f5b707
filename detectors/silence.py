"""D08, rule: nothing was heard for too long. Only arithmetic: the owner keeps the timer."""

from math import inf

from detectors.base import RATIO_MAX, Detector, Json, rounded

_MISSED = 3.5  # three heartbeats lost, and half of one for jitter


class Silence(Detector):
    """Three heartbeats of a run, an agent or a queue in a row did not come.

    With heartbeats every second it fires 3.5 s after the last one; a tick of 0.5 s and the way of
    the alarm fit into the 5 s that are promised. The owner watches `deadline`, calls `update` when
    it has passed, and `shift` when record time jumped because the pipeline itself stood still. It
    can't tell a dead agent from a cut line.

    Parameters
    ----------
    interval
        Seconds between heartbeats, > 0: 1 within a run, 10 outside.

    Raises
    ------
    ValueError
        For the developer, when the interval is not positive.

    Notes
    -----
    Score: silence / allowed silence in [0, 1000]; 0 before anything was heard. Fires once in a
    silence. State ≈ 0.2 kB; 1 µs.

    Examples
    --------
    >>> silence = Silence(interval=1.0)
    >>> silence.heard(now=10.0)
    >>> silence.deadline, silence.overdue(now=13.0), silence.overdue(now=13.5)
    (13.5, False, True)
    >>> silence.shift(12.0)
    >>> silence.update(False, now=14.0), silence.fires, silence.deadline
    (0.0, False, 25.5)
    """

    bounds = (0.0, RATIO_MAX)
    threshold = 1.0

    def __init__(self, interval: float = 1.0) -> None:
        super().__init__()
        if not 0 < interval < inf:
            raise ValueError(f"interval must be positive seconds, not {interval}")
        self.interval = interval
        self.deadline = inf
        """Record time from which it fires; infinite before anything was heard, and after firing."""
        self._since = inf
        self._observed = 0.0

    def heard(self, now: float) -> None:
        """Something came: start again. With every line of a run, so what an update would find is set."""
        self.n += 1
        self._since, self.deadline = now, now + _MISSED * self.interval
        self._observed, self.score, self.fires = 0.0, 0.0, False

    def update(self, heard: bool, now: float) -> float:
        """Something came at `now`, or time has come to look."""
        if heard:
            self.heard(now)
            return self.score
        self.n += 1
        quiet = max(now - self._since, 0.0)
        self._observed = rounded(quiet)
        self.score = rounded(min(quiet / (_MISSED * self.interval), RATIO_MAX))
        self.fires = self.overdue(now)
        if self.fires:
            self.deadline = inf
        return self.score

    def overdue(self, now: float) -> bool:
        """Whether an update at `now` without a sign of life would fire. Changes nothing."""
        return now >= self.deadline

    def shift(self, seconds: float) -> None:
        """Record time jumped by so much: that part of the silence was ours."""
        self._since += seconds
        self.deadline += seconds

    def _facts(self) -> dict[str, Json]:
        return {"observed": self._observed, "interval": self.interval, "missed_max": _MISSED}
