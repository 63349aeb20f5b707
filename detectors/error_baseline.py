"""D01, statistical: calls fail more often than this key's own past lets expect. Annotates."""

from collections import deque

from river import drift

from detectors import beta_binomial
from detectors.base import Json, StatisticalDetector, rounded
from detectors.shrinkage import Share

_WINDOW = 40  # within the 20 to 50 calls in which a rise must show; fewer can't reach the threshold
_FADING = 0.005  # a memory of about 400 calls: ten windows, so a rise shows before it is learnt
_STRENGTH = (2 - _FADING) / _FADING  # independent calls that such a moving mean is worth
_PRIOR_STRENGTH = 20  # pseudo-calls given to the prior, the low end of what shrinkage asks for
_COLD_MIN = 3  # failures; a call that fails and is repeated fails twice for one reason


class ErrorBaseline(StatisticalDetector):
    """Failures among the last 40 calls against a learnt rate, with ADWIN for the slow rise.

    The tail of the beta-binomial says how odd the latest failures are, and includes the doubt about
    the rate itself. Outcomes teach the rate only when they leave the window, and once live not
    while the score is above the threshold, so a short burst doesn't excuse itself. ADWIN sees what
    lasts (some 30 bad calls), alarms once when it is a rise, and makes the new level the baseline.
    It fails where a rate creeps up over days: only a frozen reference sees that. A key that nobody knows
    inherits from its siblings what they let expect of it, and may then alarm from its third failure on.

    Parameters
    ----------
    prior
        Failure share in (0, 1) expected of a key nobody has seen, from its peers.
    quiet
        Calls after an alarm without another one, >= 0.

    Raises
    ------
    ValueError
        For the developer, when the prior is out of range.

    Notes
    -----
    Score: -log10 p in [0, 16]; 0 for the first 50 calls, no alarm for 100 more. Below 1 false alarm
    in 10,000 calls at failure shares up to 10 %; a rise from 2 % to 11 % is found after a median of
    47 calls, from 5 % to 20 % after 36. State ≈ 2.5 kB; 2 µs, 5 µs while more fails than expected.

    Examples
    --------
    >>> baseline = ErrorBaseline()
    >>> stream = [i % 50 == 0 for i in range(400)] + [i % 3 == 0 for i in range(60)]
    >>> [i for i, failed in enumerate(stream) if baseline.update(failed) and baseline.fires]
    [415]

    References
    ----------
    [^1]: Bifet, Gavaldà (2007). Learning from time-changing data with adaptive windowing. SDM.
    """

    bounds = (0.0, 16.0)
    n0 = 50
    threshold = 3.0  # p = 1e-3: up to one false alarm in 10,000 calls, and half the delay of 1e-4

    def __init__(self, prior: float = 0.02, quiet: int = 50) -> None:
        super().__init__(quiet)
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie in (0, 1), not {prior}")
        self.prior = prior
        self._recent: deque[bool] = deque()
        self._failures = 0
        self._learnt = 0
        self._rate = prior
        self._worth = float(_PRIOR_STRENGTH)
        self._own_calls = self._own_failures = 0.0
        # River's default delta: no false alarm in 120,000 events.
        self._adwin = drift.ADWIN(delta=0.002)  # type: ignore[no-untyped-call]
        self._watched = 0
        self._watched_failures = 0
        self._rose = False

    def update(self, failed: bool) -> float:
        """Take the outcome of one call."""
        self.n += 1
        self._slide(failed)
        self._rose = self._watch(failed)
        score = self._surprise() if self._known() else 0.0
        self.score = max(score, self.threshold) if self._rose and self.warm else score
        self._decide(self.score >= self.threshold)
        return self.score

    def inherit(self, prior: Share, siblings: int) -> None:
        """Begin with what so many siblings let expect; what was seen so far stays, and outweighs it soon."""
        if self.status == "live":
            return
        self.siblings, self._worth = siblings, prior.worth
        known = self._own_calls + prior.worth
        self._rate = (self._own_failures + prior.mean * prior.worth) / known

    @property
    def own(self) -> tuple[float, float]:
        """Calls and failures that it has learned from, the latest 200 or so: what siblings may know."""
        return rounded(self._own_calls), rounded(self._own_failures)

    def _known(self) -> bool:
        if self.siblings and self.status == "cold":
            return self._failures >= _COLD_MIN
        return self.n >= self.n0

    @property
    def chance(self) -> float | None:
        """Of one window in 40: neighbouring ones share their calls."""
        apart = self.n >= self.n0 and self.n % _WINDOW == 0
        return 10.0**-self.score if apart else None

    def _slide(self, failed: bool) -> None:
        self._recent.append(failed)
        self._failures += failed
        if len(self._recent) > _WINDOW:
            old = self._recent.popleft()
            self._failures -= old
            if self.score < self.threshold or self.status != "live":
                self._own_calls += 1 - _FADING * self._own_calls
                self._own_failures += old - _FADING * self._own_failures
                # First the plain mean of prior and calls: a fixed factor would keep a wrong prior.
                self._learnt += 1
                weight = max(_FADING, 1 / (self._learnt + self._worth))
                self._rate += weight * (old - self._rate)

    def _watch(self, failed: bool) -> bool:
        """Whether ADWIN has just seen a rise; its new level becomes the baseline either way."""
        self._watched += 1
        self._watched_failures += failed
        self._adwin.update(float(failed))  # type: ignore[no-untyped-call]
        if not self._adwin.drift_detected:
            return False
        before = self._watched_failures / self._watched  # ADWIN starts anew after each drift
        self._watched = self._watched_failures = 0
        self._rate = self._adwin.estimation
        return bool(self._rate > before)

    def _beta(self) -> tuple[float, float]:
        strength = min(self._learnt + self._worth, _STRENGTH)
        return beta_binomial.beta(self._rate, strength)

    def _surprise(self) -> float:
        a, b = self._beta()
        return beta_binomial.surprise(self._failures, len(self._recent), a, b, self.bounds[1])

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self._failures,
            "expected": beta_binomial.expected(_WINDOW, *self._beta()),
            "calls": len(self._recent),
            "baseline": rounded(self._rate),
            "drift": self._rose,
        }
