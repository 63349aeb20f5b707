"""D03, rule: more calls of an access class than the agent's registry entry allows."""

from detectors.base import DAY_SECONDS, RATIO_MAX, Detector, Json, LastMinute, rounded


class CallRate(Detector):
    """Calls per minute and per UTC day against caps. One key: agent and access class.

    Fires on the first call above a cap, so a cap of 3 lets three calls run. The caps come with each
    update: the registry may change them at any record. It says nothing about a volume that is odd
    but allowed.

    Notes
    -----
    Score: the fuller of the two, calls / cap, in [0, 1000]; 0 without caps. The minute is 55 to
    60 s, in buckets of 5 s. State ≈ 0.4 kB; about 1 µs.

    Examples
    --------
    >>> rate = CallRate()
    >>> [rate.update(now, per_minute=2, per_day=None) for now in (0.0, 1.0, 2.0, 70.0)]
    [0.5, 1.0, 1.5, 0.5]
    """

    bounds = (0.0, RATIO_MAX)
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.today = 0
        self._day = -1
        self._window = LastMinute()
        self._caps: tuple[int | None, int | None] = (None, None)

    def update(self, now: float, per_minute: int | None, per_day: int | None) -> float:
        """Count one call at `now`; a cap is a whole number >= 0, or None for no cap."""
        self.n += 1
        window = self._window
        window.add(now)
        day = int(now // DAY_SECONDS)
        if day > self._day:
            self._day, self.today = day, 0
        self.today += 1
        self._caps = (per_minute, per_day)
        ratio, self.fires = 0.0, False
        if per_minute is not None:
            ratio = window.count / max(per_minute, 1)
            self.fires = window.count > per_minute
        if per_day is not None:
            ratio = max(ratio, self.today / max(per_day, 1))
            self.fires = self.fires or self.today > per_day
        self.score = rounded(min(ratio, RATIO_MAX))
        return self.score

    def restart(self) -> None:
        """Begin the minute anew, as after a breaker has opened; the day goes on."""
        self._window = LastMinute()

    @property
    def minute(self) -> int:
        """Calls of the last minute, the latest one included."""
        return self._window.count

    def _facts(self) -> dict[str, Json]:
        per_minute, per_day = self._caps
        return {
            "observed": {"minute": self.minute, "day": self.today},
            "per_minute": per_minute,
            "per_day": per_day,
        }
