"""How fast an agent works, so that a fleet of any size keeps a given rate of events. Pure."""

# Calls never become faster than this share of their latency: an agent that is late catches up
# without turning into a loop that does nothing else.
SCALE_MIN = 0.02
# Time by which an agent that fell behind wants to be back.
_CATCH_UP_S = 1.0
# An agent that was stopped, hung or starved does not make up for more than this: on a machine that is
# too busy, catching up would only make it busier.
_DEBT_S = 1.0


class Pace:
    """A schedule: so many events a second since the start.

    Ahead of it, the agent waits; behind it, its calls take a smaller share of their latency.

    Parameters
    ----------
    events_per_second
        The rate to keep, > 0.

    Examples
    --------
    >>> pace = Pace(10.0, now=0.0)
    >>> pace.note(5)
    >>> pace.wait(now=0.2), pace.scale(now=0.2)
    (0.3, 1.0)
    >>> pace.wait(now=1.0), pace.scale(now=1.0)
    (0.0, 0.5)
    """

    def __init__(self, events_per_second: float, now: float):
        assert events_per_second > 0
        self._rate = events_per_second
        self._due = now

    def restart(self, now: float) -> None:
        """Begin anew: what was emitted before counts no more."""
        self._due = now

    def note(self, events: int) -> None:
        """Count events that were emitted."""
        self._due += events / self._rate

    def wait(self, now: float) -> float:
        """Seconds until the schedule allows the next event; 0 when the agent is late."""
        self._due = max(self._due, now - _DEBT_S)
        return max(self._due - now, 0.0)

    def scale(self, now: float) -> float:
        """Share of its latency that a call takes now, in [SCALE_MIN, 1]."""
        late = max(now - self._due, 0.0)
        return max(1.0 - late / _CATCH_UP_S, SCALE_MIN)
