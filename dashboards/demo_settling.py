"""How long a demo waits for the rows of what it sent, before it calls the rest lost. Pure."""

from collections.abc import Sequence

# From the last row to the next one: the sink's block, and room for a busy machine.
QUIESCENCE_S = 20.0
# What still comes then comes too late to be judged.
SETTLE_S_MAX = 180.0


class Settling:
    """All is there and nothing new comes, or what lacks has not come for too long.

    A sink that lags behind a busy worker still brings rows: they are late and not lost.

    Parameters
    ----------
    sent
        Events that should be stored.

    Examples
    --------
    >>> settling = Settling(sent=5, now=0.0)
    >>> [settling.over(sizes, now) for sizes, now in (((3,), 1.0), ((4,), 20.0), ((5,), 39.0), ((5,), 40.0))]
    [False, False, False, True]
    >>> settling = Settling(sent=5, now=0.0)
    >>> [settling.over((4,), now) for now in (1.0, 20.0, 21.0)]
    [False, False, True]
    """

    def __init__(self, sent: int, now: float):
        self._sent = sent
        self._began = self._grew = now
        self._last: Sequence[int] = ()

    def over(self, sizes: Sequence[int], now: float) -> bool:
        """Whether to wait no longer; `sizes` are rows by table, events first, `now` is monotonic."""
        if sizes != self._last:
            self._last, self._grew = sizes, now
            return now >= self._began + SETTLE_S_MAX
        return sizes[0] >= self._sent or now >= self._grew + QUIESCENCE_S
