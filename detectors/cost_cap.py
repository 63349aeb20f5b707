"""D06, rule: a run or a day has spent what it may spend."""

from detectors.base import DAY_SECONDS, MICRO, RATIO_MAX, Detector, Json, rounded

_SOFT = 0.8  # the mark at which a person can still act before the hard one stops the run
_SCALES = {"usd": MICRO, "tokens": 1}
_AMOUNT_MAX = 1e12  # no true amount; a sum must stay a number that JSON readers can hold


class CostCap(Detector):
    """Money or tokens spent so far against a cap. One key: a run, or an agent for a day.

    Warns once at 80 %, fires once at 100 %; `level` stays. A cap that is raised arms both marks
    again. It sees amounts after they were spent: what is about to be spent is the budget's affair.
    Amounts are what an agent claims, so a negative or absurd one counts as nothing and is counted
    in `refused`; a sum never falls but with the day.

    Parameters
    ----------
    unit
        `usd` or `tokens`.
    daily
        Whether the sum starts again with each UTC day of record time.

    Raises
    ------
    ValueError
        For the developer, when the unit is another.

    Notes
    -----
    Score: spent / cap in [0, 1000]; 0 without a cap. Dollars are kept in whole millionths, so that
    a replay sums to the same. State ≈ 0.2 kB; about 1 µs.

    Examples
    --------
    >>> cap = CostCap("usd")
    >>> for amount in (0.5, 0.3, 0.1, 0.1, 0.1):
    ...     print(cap.update(amount, now=0.0, cap=1.0), cap.warns, cap.fires, cap.level)
    0.5 False False 0
    0.8 True False 1
    0.9 False False 1
    1.0 False True 2
    1.1 False False 2
    """

    bounds = (0.0, RATIO_MAX)
    threshold = 1.0

    def __init__(self, unit: str = "usd", daily: bool = False) -> None:
        super().__init__()
        if unit not in _SCALES:
            raise ValueError(f"unit must be one of {sorted(_SCALES)}, not {unit!r}")
        self.unit = unit
        self.daily = daily
        self.level = 0
        """0 below 80 %, 1 from there, 2 from the cap on."""
        self.refused = 0
        self._scale = _SCALES[unit]
        self._spent = 0
        self._day = -1
        self._cap: float | None = None

    def update(self, amount: float, now: float, cap: float | None) -> float:
        """Add what one call has cost; `cap` in the same unit, None for no cap."""
        self.n += 1
        if self.daily and (day := int(now // DAY_SECONDS)) > self._day:
            self._day, self._spent, self.level = day, 0, 0
        if 0 <= amount <= _AMOUNT_MAX:  # also false for NaN
            self._spent += round(amount * self._scale)
        else:
            self.refused += 1
        before, self._cap = self.level, cap
        self._judge()
        self.warns = self.level == 1 and before < 1
        self.fires = self.level == 2 and before < 2
        return self.score

    def _judge(self) -> None:
        self.score, self.level = 0.0, 0
        if self._cap is None or not self._spent:  # nothing spent is below any cap, also one of 0
            return
        limit = max(round(self._cap * self._scale), 0)
        self.score = rounded(min(self._spent / max(limit, 1), RATIO_MAX))
        if self._spent >= limit:
            self.level = 2
        elif self._spent >= _SOFT * limit:
            self.level = 1

    @property
    def spent(self) -> float:
        """Sum so far, in the unit."""
        return self._spent / self._scale

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self.spent,
            "unit": self.unit,
            "cap": self._cap,
            "warn_at": _SOFT,
            "refused": self.refused,
        }
