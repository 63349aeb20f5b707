"""D09, statistical: a tool's results lack the form that was declared for them. Annotates."""

from detectors import beta_binomial
from detectors.base import Json, StatisticalDetector, rounded

_WINDOW = 40  # as of failures: a rise from 1 % to 10 % has to show within it
_MEMORY = 400  # ten windows, so a rise shows before it is learnt
_PRIOR_STRENGTH = 20  # pseudo-results given to the prior, the low end of what shrinkage asks for
_ALL = (1 << _WINDOW) - 1


class MalformedResult(StatisticalDetector):
    """Misfits among the last 40 results of a tool against the share that is usual for it.

    A tool that breaks seldom says so: it answers an error page, leaves a field out, or writes an amount as
    text, and the agent goes on with that. Results teach the share only when they leave the window, and once
    live not while the score is above the threshold: so what stays broken stays an alarm, until somebody
    mends the tool or its declaration. It fails where a tool has lacked its form from the first result on,
    since then that is its habit.

    Parameters
    ----------
    prior
        Share in (0, 1) of results without their form that is expected of a tool nobody has seen.
    quiet
        Results after an alarm without another one, >= 0.

    Raises
    ------
    ValueError
        For the developer, when the prior is out of range.

    Notes
    -----
    Score: -log10 of the beta-binomial tail in [0, 16]; 0 for the first 50 results, no alarm for 100 more.
    Window and memory are those of `ErrorBaseline`. 0.3 kB; 1 µs, 3 µs while more is malformed than expected.

    Examples
    --------
    >>> results = MalformedResult()
    >>> stream = [False] * 400 + [i % 3 == 0 for i in range(60)]
    >>> [i for i, wrong in enumerate(stream) if results.update(wrong, "missing", "total") and results.fires]
    [409]
    >>> results.evidence()["field"], results.evidence()["observed"]
    ('total', 13)
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
        self._recent = 0  # one bit a result, the newest lowest
        self._learnt = 0
        self._wrong = self._field = self._example = ""

    def update(self, wrong: bool, what: str = "", field: str = "", example: str = "") -> float:
        """Take one result: whether it lacks its form; where it does, in what, and a hash to find it by."""
        if self.n >= _WINDOW and (self.score < self.threshold or self.status != "live"):
            # First the plain mean of prior and results: a fixed factor would keep a wrong prior.
            self._learnt = min(self._learnt + 1, _MEMORY - _PRIOR_STRENGTH)
            old = self._recent >> _WINDOW - 1 & 1
            self._rate += (old - self._rate) / (self._learnt + _PRIOR_STRENGTH)
        self.n += 1
        self._recent = (self._recent << 1 | wrong) & _ALL
        if wrong:
            self._wrong, self._field, self._example = what, field, example
        self.score = 0.0
        if self.warm:
            found, a, b = self._recent.bit_count(), *self._beta()
            self.score = beta_binomial.surprise(found, _WINDOW, a, b, self.bounds[1])
        self._decide(self.score >= self.threshold)
        return self.score

    def _beta(self) -> tuple[float, float]:
        return beta_binomial.beta(self._rate, self._learnt + _PRIOR_STRENGTH)

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self._recent.bit_count(),
            "expected": beta_binomial.expected(_WINDOW, *self._beta()),
            "results": min(self.n, _WINDOW),
            "baseline": rounded(self._rate),
            "wrong": self._wrong,
            "field": self._field,
            "example": self._example,
        }
