"""D25, statistical: whenever the order holds one certain thing, the agent does what it hardly ever does."""

import math
from collections.abc import Collection, Iterable
from zlib import crc32

from detectors.base import Json, StatisticalDetector, rounded

FEATURES_MAX = 16  # of one run
_ONCE_MAX = 160  # features that came once; the oldest goes
_AGAIN_MAX = 64  # those that came again; the one that came longest ago goes
_PAIRS_MAX = 32
_ACTIONS_MAX = 32
_RARE = 0.1  # an action of more runs than that is no rare one
_ORDERS_MAX = 128
_ALPHA = 0.05
# log10 of the pairs that an agent may open in its life; all share `_ALPHA` (Bonferroni).
_TESTED = 4.0
_LOWEST = -6.0

Pair = tuple[int, int]  # feature, and 32 bits of the action's name


class TriggerPair(StatisticalDetector):
    """Pairs of a feature of the order and a rare action that go together more than chance lets them.

    A plan that was tampered with behaves until a certain word, name or address stands in its order. Each
    such feature (a keyed hash) that is seen again is held against each rare action by an e-value: how
    much better its own runs foretell the action (Krichevsky and Trofimov's mixture) than the runs without
    it do, whose share counts with one standard error on top. Evidence is gathered run by run and may be
    looked at after each one; an order that comes again as it was counts once, for a task that is repeated is
    no trigger. It fails on triggers that leave no fingerprint, on those that come once or always in the same
    order, and where the action is usual; and an honest rule of the owner ("orders of this desk are paid at
    once") looks alike, so it lets a person look and no more.

    Notes
    -----
    Score: log10 of the e-value over 10,000 pairs, in [0, 16]; fires from 1.3 (5 % over the life of an agent).
    With an action of 2 % of the runs that is the seventh run with the trigger, with one of 0.2 % the sixth.
    200 runs first, 100 more before it alarms. State at most 4 kB; 3 µs a write, 20 µs a run.

    Examples
    --------
    >>> pairs = TriggerPair()
    >>> for i in range(500):
    ...     _ = pairs.update([i % 50], ["pay"] if i == 200 else ["note"])
    >>> for i in range(6):
    ...     _ = pairs.update([i, 991], ["pay"])
    >>> pairs.score_one([991], "pay") > pairs.threshold, pairs.score_one([7], "note")
    (True, 0.0)
    """

    bounds = (0.0, 16.0)
    n0 = 200
    threshold = rounded(-math.log10(_ALPHA))

    def __init__(self, quiet: int = 50) -> None:
        super().__init__(quiet)
        self.feature, self.action = 0, ""
        """The pair that the latest score is about."""
        self._actions: dict[int, int] = {}  # runs with it
        self._once: dict[int, None] = {}
        self._again: dict[int, None] = {}
        self._orders: dict[int, None] = {}  # the last ones, each by all of its features
        self._pairs: dict[Pair, tuple[int, int, float]] = {}
        """Runs with the feature, runs with both, log10 of the e-value."""

    def score_one(self, features: Iterable[int], action: str) -> float:
        """How surely one of these features brings this action. Changes nothing but which pair is told."""
        short = _short(action)
        known = ((self._pairs[f, short][2], f) for f in features if (f, short) in self._pairs)
        best, self.feature = max(known, default=(0.0, 0))
        self.action = action
        return rounded(min(max(best - _TESTED, 0.0), self.bounds[1]))

    def update(self, features: Collection[int], actions: Collection[str]) -> float:
        """Take one run: the features of its order, and what it asked for. Scores before it learns."""
        features = list(dict.fromkeys(features))[:FEATURES_MAX]
        scores = {action: self.score_one(features, action) for action in sorted(set(actions))}
        worst = max(scores, key=lambda one: scores[one], default="")
        self.score = self.score_one(features, worst)
        done = {_short(one) for one in actions}
        if self._news(features):
            self._weigh(features, done)
            self._open(features, done)
        self.n += 1
        self._count(features, done)
        self._decide(self.score >= self.threshold)
        return self.score

    def _news(self, features: list[int]) -> bool:
        """Whether this order is another one than the last: the same once more is no further witness."""
        order = _short(" ".join(map(str, sorted(features))))
        known = order in self._orders
        self._orders.pop(order, None)
        self._orders[order] = None  # the newest last
        if len(self._orders) > _ORDERS_MAX:
            del self._orders[next(iter(self._orders))]
        return not known

    def _weigh(self, features: list[int], actions: set[int]) -> None:
        """Each open pair whose feature is here is told whether its action is."""
        here = set(features)
        for pair in [one for one in self._pairs if one[0] in here]:
            runs, both, found = self._pairs.pop(pair)  # the newest last
            hit, base = pair[1] in actions, self._base(pair, runs, both)
            own = (both + 0.5) / (runs + 1)
            found += math.log10(own / base if hit else (1 - own) / (1 - base))
            self._pairs[pair] = (runs + 1, both + hit, rounded(max(found, _LOWEST)))

    def _base(self, pair: Pair, runs: int, both: int) -> float:
        others = max(self.n - runs, 1)
        share = (max(self._actions.get(pair[1], 0) - both, 0) + 1) / (others + 2)
        return min(share + math.sqrt(share * (1 - share) / others), 0.9)

    def _open(self, features: list[int], actions: set[int]) -> None:
        """Pairs of what was seen before with what is rarely done: they count from the next run on."""
        rare = [one for one in sorted(actions) if self._actions.get(one, 0) < _RARE * self.n]
        for pair in ((f, a) for f in features if f in self._once or f in self._again for a in rare):
            if pair not in self._pairs:
                self._pairs[pair] = (1, 1, 0.0)
                if len(self._pairs) > _PAIRS_MAX:
                    del self._pairs[min(self._pairs, key=lambda one: self._pairs[one][2])]

    def _count(self, features: list[int], actions: set[int]) -> None:
        for action in sorted(actions):
            if action in self._actions or len(self._actions) < _ACTIONS_MAX:
                self._actions[action] = self._actions.get(action, 0) + 1
        for feature in features:
            again = feature in self._once or feature in self._again
            self._once.pop(feature, None)
            self._again.pop(feature, None)
            kept, most = (self._again, _AGAIN_MAX) if again else (self._once, _ONCE_MAX)
            kept[feature] = None  # the newest last
            if len(kept) > most:
                del kept[next(iter(kept))]

    def _facts(self) -> dict[str, Json]:
        pair = self.feature, _short(self.action)
        runs, both, _ = self._pairs.get(pair, (0, 0, 0.0))
        return {
            "observed": both,
            "runs": runs,
            "baseline": rounded(self._base(pair, runs, both)),
            "feature": f"{self.feature:08x}",
            "action": self.action,
        }


def _short(action: str) -> int:
    return crc32(action.encode(errors="replace"))
