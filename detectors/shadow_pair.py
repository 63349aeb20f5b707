"""D32, version: beside the same input, the shadow goes wrong where the stable bundle goes well."""

import math

from detectors.base import RATIO_MAX, Detector, Json, rounded

_ALPHA = 0.05  # of all harmless shadows so many are refused, however long one looks
_PRIOR = 5.0  # weight of "as often as the other", in pairs that differ


class ShadowPair(Detector):
    """Of the pairs whose outcomes differ, is the shadow the worse one more often than by half?

    An e-process on McNemar's discordant pairs: both runs had the same input, so a hard hour or a hard
    task counts for neither. It needs 4 to 9 times fewer requests than a canary at a tenth of the runs,
    and two executions of each.

    Notes
    -----
    Score: log of the evidence in [0, 1000]; fires from log(1 / 0.05) = 3.0 where the shadow is the worse
    one. 5 to 10 % bad runs are found after about 400 pairs (median), and below 5 % of harmless shadows
    are refused. 3 integers; 1 µs a pair that differs, 0.1 µs otherwise.

    Examples
    --------
    >>> pair = ShadowPair()
    >>> [pair.update(True, False) >= pair.threshold for _ in range(20)].index(True)
    11
    """

    bounds = (0.0, RATIO_MAX)
    threshold = rounded(math.log(1 / _ALPHA))

    def __init__(self) -> None:
        super().__init__()
        self.worse = 0
        """Pairs in which only the shadow went wrong."""
        self.better = 0
        """Pairs in which only the stable bundle did."""

    def update(self, shadow_bad: bool, stable_bad: bool) -> float:
        """Take one pair: whether the shadow's run went wrong, and whether the other did."""
        self.n += 1
        if shadow_bad == stable_bad:
            return self.score
        self.worse += shadow_bad
        self.better += stable_bad
        evidence = self._evidence() if self.worse > self.better else 0.0
        self.score = rounded(min(max(0.0, evidence), RATIO_MAX))
        self.fires = self.fires or self.score >= self.threshold  # what is shown stays shown
        return self.score

    def _evidence(self) -> float:
        """Log of the mixture's likelihood over that of a fair coin."""
        n = self.worse + self.better
        mixed = _betaln(_PRIOR + self.worse, _PRIOR + self.better) - _betaln(_PRIOR, _PRIOR)
        return mixed + n * math.log(2)

    def _facts(self) -> dict[str, Json]:
        n = self.worse + self.better
        return {
            "observed": rounded(self.worse / n) if n else 0.0,
            "expected": 0.5,
            "worse": self.worse,
            "better": self.better,
        }


def _betaln(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
