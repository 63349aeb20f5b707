"""D30, version: the new bundle goes wrong more often than its share of the runs explains."""

import math

from detectors.base import RATIO_MAX, Detector, Json, betaln, rounded

_ALPHA = 0.05  # so many roll-outs of a harmless bundle are taken back, however long one looks
_METRICS = 2  # kinds of going wrong that are counted side by side: Bonferroni
_KAPPA = 10.0  # weight of the prior around the share, in bad runs


class CanaryRate(Detector):
    """Of the runs that went wrong, is the canary's part larger than its share of all runs?

    An e-process (conditional beta-binomial): only bad runs count, so a rate that rises and falls for
    both alike changes nothing, and looking after each run costs no error. A z-test looked at so often
    is wrong in 33 to 42 % of harmless roll-outs.

    Parameters
    ----------
    share
        Of the runs that get the canary, in (0, 1).

    Notes
    -----
    Score: log of the evidence in [0, 1000]; fires from log(2 / 0.05) = 3.7 where the canary's part is
    the larger one. At a share of 0.1, 5 to 20 % bad runs are found after about 500 runs (median), and
    below 5 % of harmless roll-outs are taken back. 3 integers; 1 µs a bad run, 0.1 µs otherwise.

    Examples
    --------
    >>> canary = CanaryRate(share=0.1)
    >>> [canary.update(True, True) >= canary.threshold for _ in range(8)].index(True)
    4
    """

    bounds = (0.0, RATIO_MAX)
    threshold = rounded(math.log(_METRICS / _ALPHA))

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.share = share
        self.bad = 0
        """Bad runs of the canary."""
        self.others = 0
        """Bad runs of the stable bundle."""

    def update(self, bad: bool, canary: bool) -> float:
        """Take one run: whether it went wrong, and whether it was the canary's."""
        self.n += 1
        if not bad:
            return self.score
        self.bad += canary
        self.others += not canary
        worse = self.bad > self.share * (self.bad + self.others)
        self.score = rounded(min(max(0.0, self._evidence()), RATIO_MAX)) if worse else 0.0
        self.fires = self.fires or self.score >= self.threshold  # what is shown stays shown
        return self.score

    def _evidence(self) -> float:
        """Log of the mixture's likelihood over that of the share."""
        a, b = _KAPPA * self.share, _KAPPA * (1 - self.share)
        return (
            betaln(a + self.bad, b + self.others)
            - betaln(a, b)
            - self.bad * math.log(self.share)
            - self.others * math.log(1 - self.share)
        )

    def _facts(self) -> dict[str, Json]:
        bad = self.bad + self.others
        return {
            "observed": rounded(self.bad / bad) if bad else 0.0,
            "expected": self.share,
            "bad": self.bad,
            "of": bad,
        }
