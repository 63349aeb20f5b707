"""The contract of every detector, and the pieces they share. Pure: no clock, no I/O.

Third stage of a step's way: features come in, a score and its evidence go out; policy decides, the
breaker acts. `now` is always the record's time in seconds and never falls.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from river import base

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
"""What evidence may hold: it is written into the alarm record as it is."""

DIGITS = 6
"""Scores are rounded so before they are compared: the last bits of a sum differ between builds."""

RATIO_MAX = 1000.0
"""Ratios to a cap stop here: a cap of nothing would otherwise give an infinite score."""

DAY_SECONDS = 86_400.0
"""A day is the UTC day of record time, so that a replay cuts at the same record."""

BUCKET_SECONDS = 5.0
BUCKETS = 12
"""One minute in twelve steps: room for 20 calls of a slow agent, short enough for a spike."""

SHADOW_SCORES = 100
"""A statistical detector shows its scores to nobody's harm so long before it may alarm."""

MICRO: int = 10**DIGITS
"""Whole millionths instead of floats: what is summed or ranked so does not depend on order."""


QUANTILES = {"median": 0.5, "p95": 0.95, "p999": 0.999}
"""What an alarm record calls expected."""


def rounded(score: float) -> float:
    """The score in `DIGITS` digits; takes a third of the time of `round(score, DIGITS)`."""
    millionths: int = round(score * MICRO)
    return millionths / MICRO


class Detector(base.Base, abc.ABC):
    """A detector of one key: one stream of numbers, one question.

    Learn, score and decide are three things. `update` scores what it is given against what was seen
    before, then learns it. `fires` says that the threshold in force is passed; what follows from it
    is the policy's affair. The constructor stores its parameters under their own names, so `clone`
    gives a fresh detector with the same parameters.

    Attributes
    ----------
    score
        Result of the latest update: finite, inside `bounds`, high = anomalous, 0 at the start.
    fires, warns
        Whether the latest update passed the threshold, or the lower mark where a rule has one.
        At most one of the two is true.
    threshold
        The score from which it fires; rules with a second condition name it in the evidence.
    n
        Updates so far.
    """

    bounds: ClassVar[tuple[float, float]]
    n0: ClassVar[int] = 0
    """Updates before the first score means something; rules need none."""

    threshold: float

    def __init__(self) -> None:
        self.n = 0
        self.score = 0.0
        self.fires = False
        self.warns = False

    @abc.abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> float:
        """Score one observation, then learn it; each detector names its own arguments."""

    @property
    def warm(self) -> bool:
        """Whether enough was seen for the score to mean something."""
        return self.n >= self.n0

    @property
    def status(self) -> str:
        """`cold`, `shadow` (scores, no alarm) or `live`. Rules are live from the first event."""
        return "live"

    @property
    def chance(self) -> float | None:
        """P of a score as rare as the latest one or rarer; None where the detector tells none now."""
        return None

    def evidence(self) -> dict[str, Json]:
        """What the alarm record says about the latest update. Small, and plain JSON."""
        return {
            "score": self.score,
            "threshold": self.threshold,
            "n": self.n,
            "status": self.status,
            "expected": None,
            **self._siblings(),
            **self._facts(),
        }

    def _siblings(self) -> dict[str, Json]:
        """Who else's experience the score rests on; rules need nobody's."""
        return {}

    @abc.abstractmethod
    def _facts(self) -> dict[str, Json]:
        """The detector's own part of the evidence; `observed` at least."""


class StatisticalDetector(Detector):
    """A detector that learns what is normal: it warms up, then shadows, then alarms with pauses.

    Parameters
    ----------
    quiet
        Updates after an alarm without another one, >= 0. One incident is one alarm: this pause
        alone was worth more than the choice of the model.

    Attributes
    ----------
    siblings
        Other agents whose experience stands in for its own until it is live; 0 for none. With them a cold
        detector may alarm.
    """

    def __init__(self, quiet: int) -> None:
        super().__init__()
        self.quiet = quiet
        self.siblings = 0
        self._until = 0

    @property
    def status(self) -> str:
        if self.n >= self.n0 + SHADOW_SCORES:
            return "live"
        return "cold" if self.siblings or self.n < self.n0 else "shadow"

    @property
    def heard(self) -> bool:
        """Whether what it finds now may become an alarm."""
        return self.status == "live" or self.siblings > 0

    def _siblings(self) -> dict[str, Json]:
        return {"siblings": self.siblings} if self.status == "cold" and self.siblings else {}

    def _decide(self, alarming: bool) -> None:
        self.fires = alarming and self.n >= self._until and self.heard
        if self.fires:
            self._until = self.n + self.quiet + 1


class LastMinute:
    """Counts of the last minute of record time in 12 buckets of 5 s; so it spans 55 to 60 s.

    `count` is all, `marked` those that were marked. About 0.4 kB and 0.3 µs.
    """

    def __init__(self) -> None:
        self.count = 0
        self.marked = 0
        self._counts = [0] * BUCKETS
        self._marks = [0] * BUCKETS
        self._latest = -1

    def add(self, now: float, marked: bool = False) -> None:
        """Count one; a `now` before the latest bucket counts into that."""
        bucket = int(now // BUCKET_SECONDS)
        if bucket > self._latest:
            self._drop(min(bucket - self._latest, BUCKETS))
            self._latest = bucket
        slot = self._latest % BUCKETS
        self._counts[slot] += 1
        self.count += 1
        if marked:
            self._marks[slot] += 1
            self.marked += 1

    def _drop(self, steps: int) -> None:
        if steps == BUCKETS:
            self.count = self.marked = 0
            self._counts, self._marks = [0] * BUCKETS, [0] * BUCKETS
            return
        counts, marks = self._counts, self._marks
        for bucket in range(self._latest + 1, self._latest + 1 + steps):
            slot = bucket % BUCKETS
            if counts[slot]:  # else nothing is marked there, either
                self.count -= counts[slot]
                self.marked -= marks[slot]
                counts[slot] = marks[slot] = 0
