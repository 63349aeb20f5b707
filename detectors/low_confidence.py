"""D27, statistical: a call of which the agent is unusually unsure, where its doubts have meant something."""

from dataclasses import dataclass, field
from math import log10, sqrt

from detectors.base import Json, StatisticalDetector, rounded
from detectors.conformal_tail import SURPRISE_MAX, ConformalTail

_RUNS = 160  # compared with, of each of two scores: 4 bytes each in a checkpoint
_RUNS_MIN = 50  # for one in fifty
_SCORES = 2  # of a call, of which the rarer counts
_RARE = 0.02  # the catalogue's p; twice as often as a run of odd calls, for it takes calibration as well
_ROW = 3  # calls whose mean is the level: one word alone is no trend
_STEPS = 20  # of the confidences that calibration counts by; models say 0.85 and not 0.8512
_BAD_MIN = 5  # runs that ended badly, and that ended well, before anything is called calibrated
_Z = 2.326348  # 1 % one-sided of the normal law
_KEPT = 1_000  # runs; then every count is halved, so that a model's old manner fades
_WARM = 20


@dataclass(slots=True)
class Course:
    """How sure the agent has been in one open run. 0.1 kB in a checkpoint."""

    n: int = 0
    lowest: float = 1.0
    row: list[float] = field(default_factory=list)  # the newest, three at most
    highest: float = 0.0  # mean of three calls in a row
    fall: float = 0.0  # the greatest from such a mean to a later one
    fired: bool = False

    def add(self, confidence: float) -> float:
        """Take how sure the next call is; returns how far the level lies below its best now."""
        self.n += 1
        self.lowest = min(self.lowest, confidence)
        self.row.append(confidence)
        if len(self.row) < _ROW:
            return 0.0
        level = sum(self.row) / _ROW
        del self.row[0]
        self.highest = max(self.highest, level)
        fallen = self.highest - level
        self.fall = max(self.fall, fallen)
        return fallen


class LowConfidence(StatisticalDetector):
    """Calls of which an agent is unusually unsure, once its doubts are known to mean something.

    What a model says of its own sureness has no scale: one says 0.95 of everything, another means it. So
    it is used by rank alone, and only after calibration. Each call's doubt (1 less its confidence), and
    the fall of the level of three calls from its best in the run, are ranked among the most that runs
    which ended well came to; a call is never more than its run, so looking often raises no false alarm.
    And of all earlier runs, those that ended badly must have been the less sure in their least sure call:
    by the rank test of Mann and Whitney, corrected for ties, at 1 %. An agent that is as sure of what
    fails as of what goes well is never heard of.

    It fails where nothing ever ends badly in a way that is seen, where mistakes are made with
    conviction, and for an agent that knows that it is asked: any number may be told.

    Notes
    -----
    Score: -log10 of the conformal p, less log10 2, in [0, 8], and 0 for what one run in ten comes to; fires
    from 1.7, one run in fifty. Needs 120 updates and 50 runs that ended well, 5 that ended badly. 1.9 kB in
    a checkpoint; 4 µs a call, 20 µs more for a rare one; 6 µs a run's end.

    Examples
    --------
    >>> doubts = LowConfidence()
    >>> for run in range(240):
    ...     bad = run % 12 == 0
    ...     for step in range(3):
    ...         _ = doubts.update((0.5 if bad else 0.8) + run % 7 / 50)
    ...     _ = doubts.update(None, bad=bad)
    >>> doubts.update(0.9), doubts.fires, doubts.update(0.3) > 1.7, doubts.fires
    (0.0, False, True, True)

    References
    ----------
    [^1]: Mann, Whitney (1947). On a test of whether one of two random variables is stochastically larger
          than the other. Annals of Mathematical Statistics 18.
    """

    bounds = (0.0, SURPRISE_MAX)
    n0 = _WARM
    threshold = rounded(-log10(_RARE))

    def __init__(self) -> None:
        super().__init__(quiet=0)  # each such call is somebody's
        self.odd = False
        """Whether the latest call is to be doubted, whatever its run has shown before."""
        self._lowest = ConformalTail(_RUNS, _RUNS_MIN)
        self._falls = ConformalTail(_RUNS, _RUNS_MIN)
        self._well = [0] * (_STEPS + 1)  # runs by their lowest confidence
        self._badly = [0] * (_STEPS + 1)
        self._own = Course()
        self._latest = (1.0, 0.0)

    def update(
        self,
        confidence: float | None,
        course: Course | None = None,
        bad: bool = False,
        learn: bool = True,
    ) -> float:
        """Score how sure the next call of a run is, 0 to 1; or its end (None), which is learnt if `learn`."""
        course = self._own if course is None else course
        self.n += 1
        self.odd = False
        self.score = 0.0
        if confidence is None:
            if learn and course.n:
                self._learn(course, bad)
            if course is self._own:
                self._own = Course()
            self._decide(False)
            return self.score
        fallen = course.add(confidence)
        self._latest = (confidence, fallen)
        rarest = max(_surprise(self._lowest, 1 - confidence), _surprise(self._falls, fallen))
        self.score = rounded(max(rarest - log10(_SCORES), 0.0))
        self.odd = self.score >= self.threshold and self.heard and self.calibration()[1] >= _Z
        self._decide(self.odd and not course.fired)
        course.fired |= self.fires
        return self.score

    def calibration(self) -> tuple[float, float]:
        """Of two runs, how often the one that ended badly had been the less sure; and how many sd above half.

        Nothing (0.5 and 0) where too few runs ended badly, or too few well.
        """
        bad, well = sum(self._badly), sum(self._well)
        if min(bad, well) < _BAD_MIN:
            return 0.5, 0.0
        surer, wins, ties = well, 0.0, 0
        for one, other in zip(self._badly, self._well, strict=True):  # the least sure first
            surer -= other
            wins += one * (surer + other / 2)
            ties += (one + other) ** 3 - (one + other)
        of = bad + well
        variance = bad * well / 12 * (of + 1 - ties / (of * (of - 1)))
        if variance <= 0:  # all runs are alike
            return 0.5, 0.0
        return rounded(wins / (bad * well)), rounded((wins - bad * well / 2) / sqrt(variance))

    @property
    def runs(self) -> int:
        """Runs that calibration knows."""
        return sum(self._well) + sum(self._badly)

    def _learn(self, course: Course, bad: bool) -> None:
        (self._badly if bad else self._well)[round(course.lowest * _STEPS)] += 1
        if self.runs >= _KEPT:
            self._well = [count // 2 for count in self._well]
            self._badly = [count // 2 for count in self._badly]
        if not bad:  # what is usual is what went well
            self._lowest.update(1 - course.lowest)
            self._falls.update(course.fall)

    def _facts(self) -> dict[str, Json]:
        confidence, fallen = self._latest
        less_sure, sd = self.calibration()
        usual = self._lowest.quantiles()
        return {
            "observed": rounded(confidence),
            "expected": None
            if usual is None
            else {name: rounded(1 - doubt) for name, doubt in usual.items()},
            "p": rounded(10.0**-self.score),
            "fall": rounded(fallen),
            "runs": self.runs,
            "bad_runs": sum(self._badly),
            "less_sure": less_sure,
            "sd": sd,
        }


def _surprise(tail: ConformalTail, score: float) -> float:
    return tail.score_one(score) if score > tail.usual else 0.0
