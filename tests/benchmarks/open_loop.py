"""The clock of an open loop: work is due when it is due, whether or not earlier work was finished. Pure."""


class OpenLoop:
    """A schedule of bursts: so many events a second since the beginning, for ever.

    Nothing moves it: neither a slow consumer nor a busy machine. Who comes late catches up at once, and the
    lateness of each burst is kept, so that a rate that was not kept shows.

    Parameters
    ----------
    rate
        Events a second, > 0.
    begin
        When the first event is due, seconds.

    Examples
    --------
    >>> loop = OpenLoop(10.0, begin=100.0)
    >>> loop.wait(now=99.5), loop.arrived(now=100.0)
    (0.5, None)
    >>> loop.due(5)
    >>> loop.wait(now=100.75), loop.arrived(now=100.75)
    (0.0, None)
    >>> loop.late_ms
    [0.0, 250.0]
    """

    def __init__(self, rate: float, begin: float):
        assert rate > 0
        self._rate = rate
        self._due = begin
        self.late_ms: list[float] = []
        """By burst, how late it began."""

    def due(self, events: int) -> None:
        """So many events belong to the burst that has begun; the next is due after their time."""
        self._due += events / self._rate

    def wait(self, now: float) -> float:
        """Seconds until the next burst is due; 0 when it is late."""
        return max(self._due - now, 0.0)

    def arrived(self, now: float) -> None:
        """The next burst begins now."""
        self.late_ms.append(round(max(now - self._due, 0.0) * 1e3, 1))
