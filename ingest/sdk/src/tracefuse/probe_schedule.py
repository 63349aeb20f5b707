"""When probes are due: one after the other, evenly over their period, at each agent's own time. Pure."""

from typing import NamedTuple
from zlib import crc32

LATE_SECONDS = 3600.0  # an hour of a week; a probe at another time of the day asks something else


class Due(NamedTuple):
    """Which probe is due now, by its number, and how many others were missed since the last look."""

    probe: int | None
    missed: int


class Schedule:
    """Slots of one set of probes: slot m belongs to probe m mod n and is a part of the period long.

    Never are two due at once, and none twice. A probe whose time was missed is not made up for: the next
    one comes as planned, and whoever asks is told how many were missed.

    Parameters
    ----------
    agent_id, name
        The agent and the set: from these follows by how much its slots are shifted, so that a fleet's
        probes do not come all at once.
    count
        Probes of the set, > 0.
    every_s
        Each is due once in so many seconds.

    Examples
    --------
    >>> schedule = Schedule("refunds", "weekly", 2, 7200.0)
    >>> begin = schedule.begins(1000)
    >>> [schedule.due(begin + s) for s in (0.0, 10.0, 3700.0, 3 * 3600.0, 5.1 * 3600.0)]
    [Due(probe=0, missed=0), Due(probe=None, missed=0), Due(probe=1, missed=0), Due(probe=1, missed=1), Due(probe=1, missed=1)]
    """  # noqa: E501

    def __init__(self, agent_id: str, name: str, count: int, every_s: float) -> None:
        self.count = count
        self._slot = every_s / count
        self._shift = crc32(f"{agent_id}/{name}".encode()) / 2**32 * every_s
        self._late = min(LATE_SECONDS, self._slot)
        self._done: int | None = None  # the last slot that was seen to

    def begins(self, number: int) -> float:
        """When slot `number` begins, s UTC."""
        return self._shift + number * self._slot

    def next_after(self, now: float) -> float:
        """When the next slot begins, s UTC."""
        return self.begins(self._number(now) + 1)

    def due(self, now: float) -> Due:
        """What is due at `now` (s UTC); what it names counts as seen to. Time that goes back is no time."""
        number = self._number(now)
        late = now - self.begins(number) > self._late
        if self._done is None:  # nobody was there before: nothing was missed
            self._done = number if late else number - 1
        if number <= self._done:
            return Due(None, 0)
        missed = number - self._done - 1 + late
        self._done = number
        return Due(None if late else number % self.count, missed)

    def _number(self, now: float) -> int:
        return int((now - self._shift) // self._slot)
