"""D13, statistical: calls that this agent does not make there. Annotates; a write waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2, log10

from detectors.backoff import Backoff, Before, brief
from detectors.base import SHADOW_SCORES, Json, StatisticalDetector, rounded
from detectors.conformal_tail import SURPRISE_MAX, ConformalTail

CALLS_KEPT = 64  # of an open run; what comes after is scored and not learnt
_NEW_KEPT = 8  # names that the agent never used, of one open run; the further ones count as one
_RUNS = 256  # compared with; 3 x 4 bytes each in a checkpoint
_RARE_BITS = log2(20)  # what comes one time in twenty is usual, however steady the other runs
_RUNS_MIN = 25  # before it may alarm
_CHANCES = log10(3)  # scores of a run, of which the rarest counts: so many chances to be rare
_NOBODY = "?"  # no tool is called so by its name alone


@dataclass(slots=True)
class Walk:
    """One open run as the detector follows it: its calls, and what was surprising in them.

    At most about 0.6 kB in a checkpoint: a known name is written once for the whole agent.
    """

    calls: list[str] = field(default_factory=list)
    before: Before = ("", "")
    n: int = 0
    total: float = 0.0  # bits of all calls
    highest: float = 0.0
    second: float = 0.0
    new: int = 0  # names in `calls` that the agent had never used
    score: float = 0.0
    fired: bool = False

    @property
    def whole(self) -> bool:
        return self.n <= CALLS_KEPT

    def add(self, bits: float) -> bool:
        """Take a surprise; tells whether it is one of the two greatest."""
        self.total += bits
        if bits <= self.second:
            return False
        self.second, self.highest = sorted((bits, max(self.highest, self.second)))
        return True

    def keep(self, call: str, known: bool) -> None:
        self.n += 1
        self.before = (self.before[1], call)
        if self.n <= CALLS_KEPT:
            self.new += not known
            self.calls.append(call)


class SequenceSurprise(StatisticalDetector):
    """Surprise of a run's calls under what the agent's finished runs did before.

    Each call has -log2 p bits under an order-2 n-gram (`Backoff`). A run's scores are the greatest
    surprise, the sum of the two greatest and the mean; each is ranked among those of the last 256
    runs, with a fitted tail, and the rarest of the three counts. The first two never fall while a run
    goes on, so they are compared at each call's **request** with what whole runs came to, and looking
    often raises no false alarm; the mean speaks at the end. A run alarms once; `odd` tells of each call
    that surprises, so that an alarm about a read excuses no write.

    Only `update(None, walk)` learns, and only if told so: calls of runs that were stopped, refused or
    cut are never normal. It fails where an agent has no habits, where an attack uses the usual calls
    in their usual order (arguments are not looked at), and in agents of a call or two a run.

    Parameters
    ----------
    quiet
        Updates after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 of the conformal p, less log10 3, in [0, 8]; fires from 2: one run in a hundred, and at
    a call only if that itself is at most one in twenty there: among very regular runs anything is rare.
    Needs 25 runs and 120 updates. State at most 12 kB in a checkpoint; 5 µs a call (mean), 25 µs a run's end.

    Examples
    --------
    >>> detector = SequenceSurprise()
    >>> for i in range(60):
    ...     for call in ["find", *["read"] * (i % 3), "update", None]:
    ...         _ = detector.update(call)
    >>> _ = [detector.update(call) for call in ("find", "delete_all")]
    >>> detector.fires, detector.evidence()["usual"][0]
    (True, ['read', 0.667])
    """

    bounds = (0.0, SURPRISE_MAX)
    n0 = 20
    threshold = 2.0

    def __init__(self, quiet: int = 20) -> None:
        super().__init__(quiet)
        self.runs = 0
        """Runs learnt."""
        self.odd = False
        """Whether the latest call surprises, whatever its run has shown before."""
        self._counts = Backoff()
        self._highest = ConformalTail(_RUNS, _RUNS_MIN)
        self._two = ConformalTail(_RUNS, _RUNS_MIN)
        self._mean = ConformalTail(_RUNS, _RUNS_MIN)
        self._own = Walk()
        self._latest: tuple[str, str, float, float, tuple[int, int] | None] = (
            "",
            "",
            0.0,
            0.0,
            None,
        )

    @property
    def status(self) -> str:
        if self.n < self.n0:
            return "cold"
        enough = self.n >= self.n0 + SHADOW_SCORES and self.runs >= _RUNS_MIN
        return "live" if enough else "shadow"

    @property
    def chance(self) -> float | None:
        """Of a run at its end; of an open one the score may still rise."""
        return 10.0**-self.score if self.status == "live" else None

    def spelt(self, name: str) -> str:
        """A name as it is kept, so that who keeps it too keeps one object; itself if it is not known."""
        known = self._counts.knows(name)
        return known if known is not None else name

    def score_one(self, x: Sequence[str], task: str = "") -> float:
        """Score of a whole run. Changes nothing."""
        return self._judged(self.walked(x, task), whole=True)

    def walked(self, x: Sequence[str], task: str = "") -> Walk:
        """A whole run with its end, and what is surprising in it. Changes nothing."""
        walk = Walk()
        for call in x:
            self._step(walk, brief(call), task)
        self._step(walk, None, task)
        return walk

    def learn_one(self, x: Sequence[str], task: str = "") -> None:
        """Take a run as normal: what it came to under the runs before, then its calls."""
        self._learn(self.walked(x, task), task)
        self.n += len(x) + 1

    def update(
        self, call: str | None, walk: Walk | None = None, task: str = "", learn: bool = True
    ) -> float:
        """Score the next call of a run, or its end (None), after which the run is learnt if `learn`."""
        walk = self._own if walk is None else walk
        self.n += 1
        call = None if call is None else brief(call)
        after = walk.before[1]
        seen = self._counts.seen(walk.before, None) if call is None else None  # it is learnt below
        before, ended = walk.score, call is None
        bits, rose = self._step(walk, call, task)
        if rose or ended:
            walk.score = self._judged(walk, ended)
        self.score = walk.score
        self._latest = (
            after,
            call or "",
            rounded(bits),
            rounded(walk.highest + walk.second),
            seen,
        )
        # Once a run is surprising, a call must be so by itself: not every one after it, but a write
        # for which two reads before it were only the cover.
        raised = walk.score
        if before >= self.threshold:
            raised = self._rare(self._highest.score_one(bits))
        surprises = raised >= self.threshold and (ended or bits >= _RARE_BITS)
        self.odd = surprises and self.status == "live"
        self._decide(self.odd and not walk.fired)
        walk.fired |= self.fires
        if ended:
            if learn:
                self._learn(walk, task)
            if walk is self._own:
                self._own = Walk()
        return self.score

    def _step(self, walk: Walk, call: str | None, task: str) -> tuple[float, bool]:
        """Bits of the next call, and whether they are among the two most of the run."""
        bits = -log2(self._counts.p(walk.before, call, task))
        rose = walk.add(bits)
        if call is not None:
            known = self._counts.knows(call)
            if known is None and walk.new >= _NEW_KEPT:
                known = call = _NOBODY
            walk.keep(known or call, known is not None)
        return bits, rose

    def _judged(self, walk: Walk, whole: bool) -> float:
        rarest = max(
            self._highest.score_one(walk.highest),
            self._two.score_one(walk.highest + walk.second),
            self._mean.score_one(walk.total / (walk.n + 1)) if whole else 0.0,
        )
        return self._rare(rarest)

    @staticmethod
    def _rare(surprise: float) -> float:
        return rounded(max(surprise - _CHANCES, 0.0))

    def _learn(self, walk: Walk, task: str) -> None:
        self.runs += 1
        self._highest.update(walk.highest)
        self._two.update(walk.highest + walk.second)
        self._mean.update(walk.total / (walk.n + 1))
        self._counts.learn(walk.calls, walk.whole, brief(task))

    def _facts(self) -> dict[str, Json]:
        after, call, bits, two, seen = self._latest
        count, of = seen or self._counts.seen(("", after), call or None)
        return {
            "observed": two,
            "expected": self._two.quantiles(),
            "p": rounded(10.0**-self.score),
            "runs": self.runs,
            "after": after,
            "call": call,
            "bits": bits,
            "seen": count,
            "of": of,
            "usual": [list(pair) for pair in self._counts.usual(("", after))],
        }
