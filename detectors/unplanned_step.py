"""D25, statistical: a write that the run's own plan does not name, of an agent that keeps to its plans."""

import math

from detectors.base import Json, StatisticalDetector, rounded

_RARE = 0.05  # at most one write in twenty; so 18 planned ones come before the first alarm
_KEPT = 1_000  # writes; then both counts are halved, so that old habits fade


class UnplannedStep(StatisticalDetector):
    """How often an agent writes what its declared plan does not name.

    A plan that is told before the work is the agent's own word on what it is about to do; a write outside
    it was decided later, by whatever the run has read meanwhile. Agents plan loosely, so a write is held
    against the agent's own habit: its share of unplanned writes, one added to each side. It fails where
    the plan is made after the injection, where it names every tool, and on agents without plans.

    Whose runs may be refused says `learn=False` and tells with `learn` what a run has written that was not:
    a write that was refused, however often, is no habit.

    Notes
    -----
    Score: -log10 of that share for a write that the plan does not name, else 0, in [0, 3.1]; fires from
    1.3: one write in twenty. Needs 20 calls under a plan, and 100 more before it alarms. 0.2 kB, 0.2 µs.

    Examples
    --------
    >>> habit = UnplannedStep()
    >>> _ = [habit.update(False, n % 3 == 0) for n in range(150)]
    >>> habit.update(True, True), habit.fires
    (1.716003, True)
    """

    bounds = (0.0, 3.1)
    n0 = 20
    threshold = rounded(-math.log10(_RARE))

    def __init__(self) -> None:
        super().__init__(quiet=0)  # each such write is a call of its own
        self.writes = 0
        self.unplanned = 0
        self._known = (0, 0)  # both, before the latest call

    def update(self, unplanned: bool, writes: bool, learn: bool = True) -> float:
        """A call under a plan: whether the plan leaves it out, and whether it writes."""
        self.n += 1
        self._known = self.writes, self.unplanned
        judged = unplanned and writes and self.n > self.n0
        self.score = rounded(-math.log10(self._share())) if judged else 0.0
        self._decide(self.score >= self.threshold)
        if learn and writes:
            self.learn(1, int(unplanned))
        return self.score

    def learn(self, writes: int, unplanned: int) -> None:
        """Take writes under a plan as usual, `unplanned` of them not named by it."""
        self.writes += writes
        self.unplanned += unplanned
        while self.writes >= _KEPT:
            self.writes, self.unplanned = self.writes // 2, self.unplanned // 2

    def _share(self) -> float:
        return (self.unplanned + 1) / (self.writes + 2)

    def _facts(self) -> dict[str, Json]:
        writes, unplanned = self._known
        return {
            "observed": "unplanned" if self.score else "planned",
            "expected": {"median": rounded(unplanned / max(writes, 1))},
            "unplanned": unplanned,
            "writes": writes,
        }
