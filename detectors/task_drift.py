"""D33, version: runs of one kind of task are no longer what they were when their reference was frozen."""

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from zlib import crc32

from detectors import e_detector
from detectors.backoff import brief
from detectors.base import Detector, Json, rounded

_FROZEN_AT = 200  # runs: with the allowances below enough, and 500 of one task are long in coming
_RUN_LENGTH = 10_000.0  # runs between two false alarms, on average, at least
_QUIET = 1_000  # runs after an alarm: one drift is one alarm
TOOLS_MAX = 8  # that count apart, the last place for all others together
OTHERS = "others"
_PLACES, _OCTAVE = 64, 8  # of steps and cost: an eighth of a doubling each, around the first run
_PAIR_BITS = (
    1024  # a set of pairs of calls in 128 bytes: of 100 pairs it takes 1.6 % of others for known
)
_WORSE = (1.5, 3.0)  # of the reference's share of bad runs, or of runs in an unknown order
_RANK_BETS = (0.4, 1.2)  # on ranks between 0 and 1
_PART_BETS = (0.06, 0.15)  # on deviations between -3 and 5
# What the reference itself may be off by, one standard error, comes on top.
_RANK_ALLOWED, _PART_ALLOWED, _SHARE_MIN = 0.05, 0.1, 0.02
_SPREAD_MIN = 0.02
_EVIDENCE_MAX = 1e12
_RISING = (
    100.0  # what evidence comes to while nothing changes; a change began when it was last below
)
_NAMED = 3


class TaskDrift(Detector):
    """Shiryaev-Roberts e-detectors of a task's runs against the first 200 of them.

    What is looked at: how many runs go wrong, how many hold a pair of consecutive calls that the
    reference does not know, how many steps they take and what they cost (each more or less), and each
    tool's part of the calls (more or less). The four weigh alike, and a run counts once, so calls that
    hang together are one piece of evidence. Nothing is learnt after the reference: who teaches the
    agent's adaptive baselines slowly, a call a day, still moves away from this one.

    It fails where the reference was poisoned already, where a season is longer than the reference (it
    then is a drift, and comes back), and on what stays within the allowances: 5 % of a rank, a tenth of
    a deviation.

    Notes
    -----
    Score: log10 of the evidence in [0, 16]; fires from 4, one false alarm in 10,000 runs or fewer.
    At most 1.1 kB in a checkpoint, names included; 36 µs a run's end, so 4 µs a step of a run of ten.

    Examples
    --------
    >>> drift = TaskDrift()
    >>> runs = [["find", "read"]] * 300 + [["find", "read", "wipe"]] * 60
    >>> [i for i, calls in enumerate(runs) if drift.update(calls, len(calls), 0.01, False) and drift.fires]
    [307]

    References
    ----------
    [^1]: Shin, Ramdas, Rinaldo (2023). E-detectors: a nonparametric framework for sequential change
    detection. NEJSDS.
    """

    bounds = e_detector.BOUNDS
    n0 = _FROZEN_AT
    threshold = rounded(math.log10(_RUN_LENGTH))

    def __init__(self) -> None:
        super().__init__()
        self.alarms = 0
        self.since = 0
        """Run at which the evidence began to rise."""
        self._bad = 0
        self._odd = 0  # runs of the reference's second half with a pair that was new then
        self._pairs = bytearray(_PAIR_BITS // 8)
        self._tools: dict[str, int] = {}
        self.newest = ""
        """The latest tool called that has no place of its own."""
        self._sums = array("f", [0.0] * TOOLS_MAX)
        self._squares = array("f", [0.0] * TOOLS_MAX)
        self._first = array("d", [0.0, 0.0])  # steps and cost of the first run, as logarithms
        self._ranks = (array("B", [0] * _PLACES), array("B", [0] * _PLACES))
        self._evidence = array("f", [0.0] * (4 + 8 + 4 * TOOLS_MAX))
        self._recent = array("f", [0.0] * (4 + TOOLS_MAX))  # means of the last runs, about 40
        self._until = 0

    @property
    def status(self) -> str:
        """`cold` until the reference is frozen."""
        return "live" if self.n >= _FROZEN_AT else "cold"

    def update(self, calls: Sequence[str], steps: int, cost_usd: float, bad: bool) -> float:
        """Take a run that ended: its calls in order, its steps, what it cost, whether it went wrong."""
        self.n += 1
        self.fires = False
        parts, odd = self._parts(calls), self._unknown(calls)
        measures = (math.log2(max(steps, 1)), math.log2(max(cost_usd, 1e-6)))
        if self.n <= _FROZEN_AT:
            self._learn(parts, odd, measures, bad)
            return 0.0
        self._weigh(parts, odd, measures, bad)
        mean = self._total()
        if mean < _RISING:
            self.since = self.n
        self.score = e_detector.logarithm(mean)
        if self.score >= self.threshold:
            self.fires = self.n >= self._until
            self.alarms += self.fires
            self._until = self.n + _QUIET if self.fires else self._until
        return self.score

    def settled(self) -> None:
        """What fired was told: the evidence begins anew."""
        self._evidence = array("f", [0.0] * len(self._evidence))

    # -- a run ------------------------------------------------------------------------------------

    def _parts(self, calls: Sequence[str]) -> list[float]:
        """Part of the run's calls that each place has."""
        parts = [0.0] * TOOLS_MAX
        for tool, count in Counter(calls).items():
            parts[self._place(brief(tool))] += count / len(calls)
        return parts

    def _place(self, tool: str) -> int:
        known = self._tools.get(tool)
        if known is not None:
            return known
        room = len(self._tools) < TOOLS_MAX - 1 and self.n <= _FROZEN_AT
        if room:
            return self._tools.setdefault(tool, len(self._tools))
        self.newest = tool
        return TOOLS_MAX - 1

    def _unknown(self, calls: Sequence[str]) -> bool:
        """Whether two calls follow each other that never did; such pairs are kept while the reference is."""
        found = False
        for pair in set(zip(["", *calls], [*calls, ""], strict=True)):
            bits = crc32("\0".join(pair).encode())
            for at in (bits & 1023, bits >> 10 & 1023, bits >> 20 & 1023):
                byte, bit = at >> 3, 1 << (at & 7)
                if not self._pairs[byte] & bit:
                    found = True
                    if self.n <= _FROZEN_AT:
                        self._pairs[byte] |= bit
        return found

    def _learn(
        self, parts: list[float], odd: bool, measures: tuple[float, float], bad: bool
    ) -> None:
        self._bad += bad
        self._odd += odd and self.n > _FROZEN_AT // 2
        for place, part in enumerate(parts):
            self._sums[place] += part
            self._squares[place] += part * part
        for k, measure in enumerate(measures):
            if self.n == 1:
                self._first[k] = measure
            self._ranks[k][self._bin(k, measure)] += 1

    def _bin(self, k: int, measure: float) -> int:
        return min(max(round((measure - self._first[k]) * _OCTAVE) + _PLACES // 2, 0), _PLACES - 1)

    # -- against the reference ----------------------------------------------------------------------

    def _weigh(
        self, parts: list[float], odd: bool, measures: tuple[float, float], bad: bool
    ) -> None:
        self._bet(0, _odds(self._share(), bad))
        self._bet(2, _odds(self._unusual(), odd))
        ranks = [self._rank(k, measure) for k, measure in enumerate(measures)]
        allowed = _RANK_ALLOWED + 1 / math.sqrt(12 * _FROZEN_AT)
        for k, rank in enumerate(ranks):
            more, less = rank - 0.5 - allowed, 0.5 - rank - allowed
            self._bet(4 + 4 * k, [1 + bet * far for far in (more, less) for bet in _RANK_BETS])
        allowed = _PART_ALLOWED + 1 / math.sqrt(_FROZEN_AT)
        for place, part in enumerate(parts):
            mean, spread = self._usual(place)
            if not part and not mean:
                continue  # nobody has ever called it
            far = min(max((part - mean) / spread, -3.0), 5.0)
            more, less = far - allowed, -far - allowed
            self._bet(12 + 4 * place, [1 + bet * one for one in (more, less) for bet in _PART_BETS])
        for k, seen in enumerate((float(bad), float(odd), *ranks, *parts)):
            self._recent[k] += (seen - self._recent[k]) / 40

    def _bet(self, at: int, factors: list[float]) -> None:
        """Let the evidence from a place on grow or fall."""
        evidence = self._evidence
        for k, factor in enumerate(factors, at):
            evidence[k] = min((evidence[k] + 1) * factor, _EVIDENCE_MAX)

    def _share(self) -> float:
        """Share of bad runs, and one standard error."""
        return _inflated(self._bad, _FROZEN_AT)

    def _unusual(self) -> float:
        """Share of runs with an unknown pair; later ones have fewer, since more is known."""
        return _inflated(self._odd, _FROZEN_AT // 2)

    def _rank(self, k: int, measure: float) -> float:
        ranks, at = self._ranks[k], self._bin(k, measure)
        return (sum(ranks[:at]) + ranks[at] / 2) / _FROZEN_AT

    def _usual(self, place: int) -> tuple[float, float]:
        mean = self._sums[place] / _FROZEN_AT
        variance = max(self._squares[place] / _FROZEN_AT - mean * mean, 0.0)
        return mean, max(math.sqrt(variance), _SPREAD_MIN)

    def _groups(self) -> Iterator[tuple[str, int, list[float]]]:
        """What is looked at, its place among the recent means, and its evidence."""
        evidence = self._evidence
        yield "failures", 0, list(evidence[:2])
        yield "order", 1, list(evidence[2:4])
        yield "steps", 2, list(evidence[4:8])
        yield "cost", 3, list(evidence[8:12])
        names = {place: tool for tool, place in self._tools.items()}
        for place in range(TOOLS_MAX):
            at = 12 + 4 * place
            yield names.get(place, OTHERS), 4 + place, list(evidence[at : at + 4])

    def _total(self) -> float:
        """Mean over the four questions, each the mean of its bets."""
        e = self._evidence
        groups = (e[:2], e[2:4], e[4:12], e[12:])
        return sum(math.fsum(group) / len(group) for group in groups) / len(groups)

    def _facts(self) -> dict[str, Json]:
        expected = [self._share(), self._unusual(), 0.5, 0.5]
        expected += [self._sums[place] / _FROZEN_AT for place in range(TOOLS_MAX)]
        most = sorted(self._groups(), key=lambda group: (-max(group[2]), group[1]))[:_NAMED]
        what: list[Json] = [
            [name, rounded(self._recent[at]), rounded(expected[at])] for name, at, _ in most
        ]
        live = self.status == "live"
        return {
            "observed": most and rounded(self._recent[most[0][1]])
            if live
            else None,  # of the recent runs, about 40
            "expected": rounded(expected[most[0][1]]) if live else None,
            "what": what if live else [],
            "newest": self.newest,
            "since": self.n - self.since if live else 0,
        }


def _inflated(count: int, of: int) -> float:
    share = max((count + 1) / (of + 2), _SHARE_MIN)
    return float(min(0.9, share + math.sqrt(share * (1 - share) / of)))


def _odds(share: float, seen: bool) -> list[float]:
    """What bets on a higher share win."""
    return [e_detector.odds(share, min(0.99, ratio * share), seen) for ratio in _WORSE]
