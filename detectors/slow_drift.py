"""D02, version: failures creep up against a reference that was frozen, and that nobody can teach."""

import math
from functools import lru_cache

from detectors import e_detector
from detectors.base import Detector, Json, rounded

_FROZEN_AT = 500  # outcomes; fewer leave the reference itself in doubt
_RUN_LENGTH = 10_000.0  # outcomes between two false alarms, on average, at least
_RATIOS = (1.3, 1.7, 2.5)  # of the reference's share: a little, clearly and far worse
_QUIET = 2_000  # outcomes after an alarm: one drift is one alarm


class SlowDrift(Detector):
    """Shiryaev-Roberts e-detector of a failure share above the one of the first 500 outcomes.

    An adaptive baseline learns what comes slowly, also from who wants it to; this one learns nothing
    after its first 500 outcomes. The reference is taken one standard error too high, so that its own
    chance raises no alarm. It says nothing of a share that falls.

    Notes
    -----
    Score: log10 of the evidence in [0, 16]; fires from 4, which is one false alarm in 10,000 outcomes
    or fewer, whatever the share is. 5 to 10 % is found after 330 outcomes (median), 5 to 8 % after 740.
    6 numbers; 1 µs.

    Examples
    --------
    >>> drift = SlowDrift()
    >>> stream = [i % 20 == 0 for i in range(600)] + [i % 5 == 0 for i in range(400)]
    >>> [i for i, failed in enumerate(stream) if drift.update(failed) and drift.fires]
    [665]

    References
    ----------
    [^1]: Shin, Ramdas, Rinaldo (2023). E-detectors: a nonparametric framework for sequential change
    detection. NEJSDS.
    """

    bounds = e_detector.BOUNDS
    n0 = _FROZEN_AT
    threshold = rounded(math.log10(_RUN_LENGTH))

    def __init__(self) -> None:
        super().__init__()
        self.reference = 0.0
        """Failure share that is compared with; 0 until it is frozen."""
        self._failures = 0
        self._since = 0  # outcomes since the reference was frozen
        self._failed = 0  # failures among them
        self._evidence = [0.0] * len(_RATIOS)
        self._until = 0

    @property
    def status(self) -> str:
        """`cold` until the reference is frozen."""
        return "live" if self.reference else "cold"

    def update(self, failed: bool) -> float:
        """Take the outcome of one call."""
        self.n += 1
        self.fires = False
        if not self.reference:
            self._failures += failed
            if self.n == _FROZEN_AT:
                share = (self._failures + 1) / (_FROZEN_AT + 2)
                error = math.sqrt(share * (1 - share) / _FROZEN_AT)
                self.reference = rounded(min(0.9, share + error))
            return 0.0
        self._since += 1
        self._failed += failed
        mean = self._weigh(failed)
        self.score = e_detector.logarithm(mean)
        if self.score >= self.threshold:
            self._evidence = [0.0] * len(_RATIOS)
            self.fires = self.n >= self._until
            self._until = self.n + _QUIET if self.fires else self._until
        return self.score

    def _weigh(self, failed: bool) -> float:
        """Evidence after one more outcome: the mean over the ratios."""
        won = _won(self.reference, failed)
        self._evidence = [
            (before + 1) * odds for before, odds in zip(self._evidence, won, strict=True)
        ]
        return sum(self._evidence) / len(_RATIOS)

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": rounded(self._failed / self._since) if self._since else None,
            "expected": self.reference or None,
            "since": self._since,
        }


@lru_cache(maxsize=4096)  # a reference is frozen: of each agent two answers, for ever
def _won(share: float, failed: bool) -> tuple[float, ...]:
    """What the bet of each ratio wins by one outcome."""
    return tuple(e_detector.odds(share, min(0.99, ratio * share), failed) for ratio in _RATIOS)
