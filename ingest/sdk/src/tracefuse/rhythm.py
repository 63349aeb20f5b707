"""When the background thread acts: heartbeats, and how often something may leave at once. Pure."""

from collections.abc import Collection

from tracefuse.drafts import Run

# Heartbeats within a run, and outside of any (architecture §3).
BEAT_SECONDS = 1.0
BEAT_IDLE_SECONDS = 10.0
# What must not wait leaves at once, as long as it comes less often than this; else it waits for the
# others, 50 ms at most. Each turn of the producer costs 0.2 to 0.3 ms of processor, whatever it
# carries, so an agent that asks 500 times a second would spend a tenth of a core on haste.
URGENT_PER_SECOND = 25.0
URGENT_BURST = 20.0


class Heart:
    """Says whose heartbeats are due.

    Parameters
    ----------
    boot
        The run outside all runs.
    now
        Monotonic seconds.

    Examples
    --------
    >>> boot, run = Run("0" * 32), Run("1" * 32)
    >>> heart = Heart(boot, now=0.0)
    >>> [len(heart.due([run], now)) for now in (0.5, 1.0, 1.5, 2.0)]
    [0, 1, 0, 1]
    >>> heart.due([], 10.0) == [boot]
    True
    """

    def __init__(self, boot: Run, now: float) -> None:
        self._boot = boot
        self._beat_at = now + BEAT_SECONDS
        self._idle_at = now + BEAT_IDLE_SECONDS

    def due(self, runs: Collection[Run], now: float) -> list[Run]:
        """Runs that say now that they live; the boot's while there is no other."""
        found: list[Run] = []
        if now >= self._beat_at:
            self._beat_at = now + BEAT_SECONDS
            found += list(runs)
        if now >= self._idle_at:
            self._idle_at = now + BEAT_IDLE_SECONDS
            if not runs:
                found.append(self._boot)
        return found

    def wait(self, runs: Collection[Run], now: float) -> float:
        """Seconds until `due` may have something; at most one, since a run may begin meanwhile."""
        ahead = min(self._idle_at, self._beat_at if runs else now + BEAT_SECONDS)
        return max(0.0, ahead - now)


class Haste:
    """Lets a bounded number of urgent flushes through: 20 at once, 25 a second.

    >>> haste = Haste(now=0.0)
    >>> sum(haste.allows(0.0) for _ in range(30)), sum(haste.allows(0.1) for _ in range(30))
    (20, 2)
    >>> round(haste.next_at, 3)
    0.12
    """

    def __init__(self, now: float) -> None:
        self._credit = URGENT_BURST
        self._at = now

    @property
    def next_at(self) -> float:
        """When something may leave again; asking earlier is in vain."""
        return self._at + max(0.0, 1.0 - self._credit) / URGENT_PER_SECOND

    def allows(self, now: float) -> bool:
        """Whether something may leave at `now`, and take the credit for it."""
        earned = (now - self._at) * URGENT_PER_SECOND
        self._credit, self._at = min(URGENT_BURST, self._credit + earned), now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True
