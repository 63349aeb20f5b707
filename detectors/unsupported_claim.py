"""D28, statistical: an answer names what its run has met nowhere, or was given without a look."""

from detectors.base import Json, StatisticalDetector, rounded

_RARE = 0.01  # one answer in a hundred names so much that is met nowhere
_BARE = 0.05  # one run in twenty calls no tool
_MOST = 32  # values beyond them are counted as this
_KEPT = 500  # answers; then every count is halved, so that old habits fade
_SCORE_MAX = 10.0


class UnsupportedClaim(StatisticalDetector):
    """Values of an answer that stand in no result and no order, against an agent's answers of one task.

    An id or an address that nobody told is made up, or computed; sums are computed every day. So the
    number of such values is ranked among those of the agent's earlier answers. An answer without any call
    is ranked by how many runs of the task make none. It fails on what words spell out, and on an agent
    that makes things up from the first day on.

    Notes
    -----
    Score: by how much the answer is rarer than one in a hundred (without a call: one in twenty), in
    [0, 10]; fires from 1. Needs 20 answers, and 100 more before it alarms. At most 33 counts, 0.4 kB; 2 µs
    an answer.

    Examples
    --------
    >>> usual = UnsupportedClaim()
    >>> _ = [usual.update(n % 2) for n in range(150)]
    >>> usual.update(4), usual.fires, usual.update(1), usual.fires
    (1.51, True, 0.01974, False)
    """

    bounds = (0.0, _SCORE_MAX)
    n0 = 20
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__(quiet=0)  # each answer is somebody's
        self._counts: dict[int, int] = {}
        self._bare = 0
        self._seen = (0, False, 0, 0)  # of the latest answer, and what was known before it

    def update(self, unsupported: int, bare: bool = False) -> float:
        """An answer: how many of its values were met nowhere, and whether no tool was called for it."""
        self.n += 1
        unsupported = min(max(unsupported, 0), _MOST)
        known = sum(self._counts.values())
        as_many = sum(times for count, times in self._counts.items() if count >= unsupported)
        self._seen = unsupported, bare, known, self._bare
        ratio = 0.0
        if unsupported:
            ratio = _RARE * (1 + known) / (1 + as_many)
        if bare:
            ratio = max(ratio, _BARE * (1 + known) / (1 + self._bare))
        self.score = rounded(min(ratio, _SCORE_MAX)) if self.n > self.n0 else 0.0
        self._decide(self.score >= self.threshold)
        self._learn(unsupported, bare)
        return self.score

    def _learn(self, unsupported: int, bare: bool) -> None:
        self._counts[unsupported] = self._counts.get(unsupported, 0) + 1
        self._bare += bare
        if sum(self._counts.values()) >= _KEPT:
            halved = {count: times // 2 for count, times in sorted(self._counts.items())}
            self._counts = {count: times for count, times in halved.items() if times}
            self._bare //= 2

    def _facts(self) -> dict[str, Json]:
        unsupported, bare, known, others = self._seen
        return {
            "observed": unsupported,
            "without_call": bare,
            "answers": known,
            "calls_made": rounded(1 - others / known) if known else 0.0,
        }
