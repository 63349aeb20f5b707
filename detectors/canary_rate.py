"""D30, version: the new bundle goes wrong more often than its share of the runs explains."""

import math

from detectors.base import RATIO_MAX, Detector, Json, rounded

ALPHA = 0.05
"""Of the roll-outs of a harmless bundle so many are taken back or held up, however long one looks."""
METRICS = 3
"""Evidence that is weighed side by side, each with its part of `ALPHA` (Bonferroni): failed calls, bad
ends, and which tools are called (`canary_mix`)."""
# Log odds of "worse" that are weighed together: bad runs 1.5, 2.5 and 5 times as likely as usual.
_TILTS = (0.4, 0.9, 1.6)


class CanaryRate(Detector):
    """Of the runs that went wrong, is the canary's part larger than its share of all runs?

    An e-process on bad runs alone, conditional on how many there were: a rate that rises and falls for
    both alike changes nothing, the share may change at any time, and looking after each run costs no
    error. A z-test looked at so often is wrong in 33 to 42 % of harmless roll-outs.

    Notes
    -----
    Score: log of the evidence in [0, 1000], the mean over three ways of being worse; fires from
    log(3 / 0.05) = 4.1, and goes on firing: what is shown stays shown. At a share of 0.1, 5 to 20 % bad
    runs are found after 390 runs (median), 5 to 10 % after 2,700, and 2 % of harmless roll-outs are taken
    back. 6 numbers; 1.5 µs a bad run, 0.1 µs otherwise.

    Examples
    --------
    >>> canary = CanaryRate()
    >>> [canary.update(True, True, share=0.1) >= canary.threshold for _ in range(5)].index(True)
    3
    """

    bounds = (0.0, RATIO_MAX)
    threshold = rounded(math.log(METRICS / ALPHA))

    def __init__(self) -> None:
        super().__init__()
        self.bad = 0
        """Bad runs of the canary."""
        self.others = 0
        """Bad runs of the stable bundle."""
        self._share = 0.0
        self._evidence = [0.0] * len(_TILTS)  # logarithms

    def update(self, bad: bool, canary: bool, share: float) -> float:
        """Take one run: whether it went wrong, whose it was, and the canary's share now, in (0, 1)."""
        self.n += 1
        self._share = share
        if not bad:
            return self.score
        self.bad += canary
        self.others += not canary
        for k, tilt in enumerate(_TILTS):
            worse = share * math.exp(tilt) / (1 - share + share * math.exp(tilt))
            self._evidence[k] += math.log(worse / share if canary else (1 - worse) / (1 - share))
        most = max(self._evidence)
        mean = sum(math.exp(one - most) for one in self._evidence) / len(_TILTS)
        self.score = rounded(min(max(0.0, most + math.log(mean)), RATIO_MAX))
        self.fires = self.fires or self.score >= self.threshold
        return self.score

    def _facts(self) -> dict[str, Json]:
        bad = self.bad + self.others
        return {
            "observed": rounded(self.bad / bad) if bad else 0.0,
            "expected": self._share,
            "bad": self.bad,
            "of": bad,
        }
