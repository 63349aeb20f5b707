"""A share of the last 40 against the share that is usual, shared by detectors of one tool; no detector."""

from detectors import beta_binomial
from detectors.base import Json, StatisticalDetector, rounded

WINDOW = 40  # as of failures: a rise from 1 % to 10 % has to show within it
_MEMORY = 400  # ten windows, so a rise shows before it is learnt
# Pseudo-observations given to the prior, the low end of what shrinkage asks for.
_PRIOR_STRENGTH = 20
_ALL = (1 << WINDOW) - 1


class UsualShare(StatisticalDetector):
    """Marked ones among the last 40 observations, by the beta-binomial tail.

    Observations teach the share only when they leave the window, and once live not while the score is above
    the threshold: so what stays odd stays an alarm.

    Parameters
    ----------
    prior
        Share in (0, 1) that is expected before anything was seen.
    quiet
        Observations after an alarm without another one, >= 0.

    Raises
    ------
    ValueError
        For the developer, when the prior is out of range.
    """

    bounds = (0.0, 16.0)
    n0 = 50
    threshold = 4.0  # what a busy agent's alarm budget asks at first: who fires earlier is muted, then quiet

    def __init__(self, prior: float = 0.01, quiet: int = 50) -> None:
        super().__init__(quiet)
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie in (0, 1), not {prior}")
        self.prior = prior
        self._rate = prior
        self._recent = 0  # one bit an observation, the newest lowest
        self._learnt = 0

    def _take(self, marked: bool) -> float:
        """Take one observation."""
        if self.n >= WINDOW and (self.score < self.threshold or self.status != "live"):
            # First the plain mean of prior and observations: a fixed factor would keep a wrong prior.
            self._learnt = min(self._learnt + 1, _MEMORY - _PRIOR_STRENGTH)
            old = self._recent >> WINDOW - 1 & 1
            self._rate += (old - self._rate) / (self._learnt + _PRIOR_STRENGTH)
        self.n += 1
        self._recent = (self._recent << 1 | marked) & _ALL
        self.score = 0.0
        if self.warm:
            found, a, b = self._recent.bit_count(), *self._beta()
            self.score = beta_binomial.surprise(found, WINDOW, a, b, self.bounds[1])
        self._decide(self.score >= self.threshold)
        return self.score

    def _beta(self) -> tuple[float, float]:
        return beta_binomial.beta(self._rate, self._learnt + _PRIOR_STRENGTH)

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self._recent.bit_count(),
            "expected": beta_binomial.expected(WINDOW, *self._beta()),
            "results": min(self.n, WINDOW),
            "baseline": rounded(self._rate),
        }
