"""D34, version: probes go otherwise than their owner wrote down, more often than chance lets them."""

import math

from detectors import e_detector
from detectors.base import Detector, Json, rounded

_ALLOWED = 0.05  # share of probes that may go wrong by the chance that lies in any model
_WORSE = (
    0.15,
    0.35,
    0.8,
)  # shares that are weighed together: a little, clearly and nearly always wrong
_ONE = 0.8  # of a single probe only "nearly always" matters: the mean of all tells the rest
_RUN_LENGTH = (
    1_000.0  # probes between two false alarms, on average, at least: 20 a week make a year
)
_QUIET = 40  # probes after an alarm without another one: what lasts is said again then
_KEPT = 16  # probes with evidence of their own; of more, those with the least are forgotten
_NAMED = 5
_LEAST = 0.3  # what a probe that goes well comes to; forgetting so little says less, never more


class ProbeDrift(Detector):
    """Shiryaev-Roberts e-detector of wrong probes, against a share that is given and never learnt.

    A probe has one right way, so nothing has to be learnt first, and nobody can teach it another. Half of
    the evidence is about the whole set, where a few probes more go wrong; half is the sum over the single
    probes, so that one of twenty which always fails is found though it is only one in twenty. It fails
    where what the probes do not ask about gets worse.

    Notes
    -----
    Score: log10 of the evidence in [0, 16]; fires from 3: at most one false alarm in 1,000 probes, if each
    goes wrong in at most 5 % whatever went before. Warns of each single one. The third failure in
    a row fires, of one probe or of several; of several that have never gone well, the fourth. Forgetting a
    probe lowers the evidence, so it keeps that promise. At most 0.9 kB for a set in a checkpoint; 3 µs a
    probe.

    Examples
    --------
    >>> drift = ProbeDrift()
    >>> told = []
    >>> for week in range(6):
    ...     for probe in ("refund", "greet", "cancel"):
    ...         _ = drift.update(probe, week >= 2 and probe == "cancel")
    ...         told += [(week, probe, drift.fires)] * (drift.fires or drift.warns)
    >>> told
    [(2, 'cancel', False), (3, 'cancel', False), (4, 'cancel', True), (5, 'cancel', False)]

    References
    ----------
    [^1]: Shin, Ramdas, Rinaldo (2023). E-detectors: a nonparametric framework for sequential change
    detection. NEJSDS.
    """

    bounds = e_detector.BOUNDS
    threshold = rounded(math.log10(_RUN_LENGTH))

    def __init__(self) -> None:
        super().__init__()
        self._evidence = [0.0] * len(_WORSE)  # of the whole set
        self._own: dict[str, float] = {}  # by probe, where it says something
        self._since = 0  # probes since the last alarm
        self._failed = 0  # of them went wrong
        self._until = 0

    def update(self, probe: str, failed: bool) -> float:
        """Take one finished probe: its id, and whether it went otherwise than expected."""
        if self.fires:  # what was shown has been said
            self._evidence, self._own = [0.0] * len(_WORSE), {}
            self._since = self._failed = 0
        self.n += 1
        self._since += 1
        self._failed += failed
        for k, worse in enumerate(_WORSE):
            self._evidence[k] = (self._evidence[k] + 1) * e_detector.odds(_ALLOWED, worse, failed)
        self._weigh(probe, failed)
        whole = sum(self._evidence) / len(_WORSE)
        mean = (whole + sum(self._own.values())) / 2
        self.score = e_detector.logarithm(mean)
        alarming = self.score >= self.threshold
        self.fires = alarming and self.n >= self._until
        self.warns = failed and not self.fires
        self._until = self.n + _QUIET if self.fires else self._until
        return self.score

    @property
    def suspects(self) -> list[str]:
        """Probes with the most evidence of going wrong, the most first; at most five."""
        ranked = sorted(self._own.items(), key=lambda one: (-one[1], one[0]))
        return [probe for probe, evidence in ranked[:_NAMED] if evidence > 1.0]

    def _weigh(self, probe: str, failed: bool) -> None:
        own = (self._own.pop(probe, 0.0) + 1) * e_detector.odds(_ALLOWED, _ONE, failed)
        if own <= _LEAST:
            return
        self._own[probe] = own
        if len(self._own) > _KEPT:
            del self._own[min(self._own, key=lambda one: self._own[one])]

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": rounded(self._failed / self._since) if self._since else None,
            "expected": _ALLOWED,
            "failed": self._failed,
            "of": self._since,
            "probes": list(self.suspects),
        }
