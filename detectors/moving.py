"""Mean and variance of the newest values. Shared by detectors; no detector."""

from typing import Any

FADING = 0.01
"""Weight of the newest value: a memory of about 200."""

_KEPT = 1 - FADING


class Moving:
    """Exponentially weighted mean and mean square of a series, on which a hot path may look directly.

    The same as river's EWMean and EWVar at `FADING`, to the bit: they keep the mean twice, take twice the
    time, and eight times the bytes in a checkpoint.

    Attributes
    ----------
    n, mean, square
        Values so far, their mean, and that of their squares; the first value counts in full.

    Examples
    --------
    >>> usual = Moving()
    >>> for value in (1.0, 3.0):
    ...     usual.learn(value)
    >>> usual.n, round(usual.mean, 3), round(usual.variance, 4)
    (2, 1.02, 0.0396)
    """

    __slots__ = ("mean", "n", "square")

    def __init__(self, n: int = 0, mean: float = 0.0, square: float = 0.0) -> None:
        self.n = n
        self.mean = mean
        self.square = square

    def __reduce__(self) -> tuple[Any, ...]:  # by place: names would be most of a checkpoint
        return Moving, (self.n, self.mean, self.square)

    def learn(self, value: float) -> None:
        """Take the next value."""
        if self.n:
            self.mean = FADING * value + _KEPT * self.mean
            self.square = FADING * (value * value) + _KEPT * self.square
        else:
            self.mean, self.square = value, value * value
        self.n += 1

    @property
    def variance(self) -> float:
        """About the mean. A difference of two means: it can fall a rounding below 0."""
        return self.square - self.mean * self.mean
