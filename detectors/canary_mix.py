"""D31, version: the new bundle calls other tools than the stable one beside it, or some more often."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence

from detectors.backoff import brief
from detectors.base import RATIO_MAX, Detector, Json, rounded
from detectors.canary_rate import ALPHA, METRICS

CATEGORIES_MAX = 16
"""Tools that count apart, by their first call, the last place for all others together."""
OTHERS = "others"
# Shifts of a tool's part of a run that are weighed together, in standard deviations, up and down.
_SHIFTS = (-0.8, -0.25, 0.25, 0.8)
_CLIP = 6.0  # standard deviations: one run says no more
# Spread of a part that hardly varies: a first call among a hundred is then one deviation.
_SPREAD_MIN = 0.01
_WEALTH_MAX = 1e12  # far above the threshold: no product overflows
_NAMED = 3


class CanaryMix(Detector):
    """Can one tell from the tools that a run called whether it was the canary's?

    Of a bundle that does the same work nobody can: whatever runs look like, however many calls they make
    and however these depend on each other, the canary has its share of each kind. So each run is a bet on
    whose it was, given its tools: for each tool, odds tilted by how far its part of the run's calls lies
    from the mean of all runs. What all bets together have won is an e-process; a season, or runs that
    come in crowds, win nothing. The mean over tools is one too, however the tools depend on each other.

    It fails where a bundle calls the same tools as often in another order, and where the canary's runs
    are chosen otherwise than by chance: then they differ without being worse.

    Notes
    -----
    Score: log of the mean evidence in [0, 1000]; fires from log(3 / 0.05) = 4.1, a third of what a
    roll-out may err (`canary_rate` has the other two), and goes on firing: what is shown stays shown.
    1.2 kB with 16 tools; 25 µs a run's end, nothing while no canary runs.

    Examples
    --------
    >>> mix = CanaryMix()
    >>> for i in range(300):
    ...     canary = i % 10 == 0
    ...     _ = mix.update(["find", "delete" if canary and i % 20 == 0 else "read"], canary, share=0.1)
    >>> mix.fires, mix.evidence()["tools"][0]
    (True, ['delete', 0.25, 0.0])

    References
    ----------
    [^1]: Shekhar, Ramdas (2023). Nonparametric two-sample testing by betting. IEEE Trans. Inf. Theory.
    """

    bounds = (0.0, RATIO_MAX)
    threshold = rounded(math.log(METRICS / ALPHA))

    def __init__(self) -> None:
        super().__init__()
        self.canaries = 0
        """Runs of the canary; the others are of the stable bundle."""
        self._places: dict[str, int] = {}
        self._canary = array("d")  # sums of the parts, by place
        self._stable = array("d")
        self._squares = array("d")
        self._wealth = array("d")  # of each place, of each shift

    def update(self, calls: Sequence[str], canary: bool, share: float) -> float:
        """Take a run: the tools that it called, whose it was, and the canary's share now, in (0, 1)."""
        if not calls:
            return self.score
        parts = self._parts(calls)
        if self.n:  # of the first run nothing is known that it could differ from
            self._bet(parts, canary, share)
        self.n += 1
        self.canaries += canary
        sums = self._canary if canary else self._stable
        for place, part in parts.items():
            sums[place] += part
            self._squares[place] += part * part
        mean = math.fsum(self._wealth) / (CATEGORIES_MAX * len(_SHIFTS))
        unseen = 1.0 - len(self._squares) / CATEGORIES_MAX  # places that nobody has bet on
        self.score = rounded(min(max(0.0, math.log(mean + unseen)), RATIO_MAX))
        self.fires = self.fires or self.score >= self.threshold
        return self.score

    def _parts(self, calls: Sequence[str]) -> dict[int, float]:
        """Part of the run's calls, by place."""
        parts: dict[int, float] = {}
        for tool, count in Counter(calls).items():
            place = self._place(brief(tool))
            parts[place] = parts.get(place, 0.0) + count / len(calls)
        return parts

    def _place(self, tool: str) -> int:
        known = self._places.get(tool)
        if known is not None:
            return known
        if len(self._places) >= CATEGORIES_MAX - 1:
            tool = OTHERS
        place = self._places.setdefault(tool, len(self._places))
        if place == len(self._squares):
            for sums in (self._canary, self._stable, self._squares):
                sums.append(0.0)
            self._wealth.extend([1.0] * len(_SHIFTS))
        return place

    def _bet(self, parts: dict[int, float], canary: bool, share: float) -> None:
        """Multiply each bet's wealth by what it wins: its odds against the share."""
        wealth, n = self._wealth, self.n
        for place, square in enumerate(self._squares):
            mean = (self._canary[place] + self._stable[place]) / n
            spread = math.sqrt(max(square / n - mean * mean, 0.0))
            far = (parts.get(place, 0.0) - mean) / max(spread, _SPREAD_MIN)
            far = min(max(far, -_CLIP), _CLIP)
            for k, shift in enumerate(_SHIFTS, place * len(_SHIFTS)):
                # Log odds of a normal variable whose mean is shifted; any odds would be fair.
                odds = math.exp(shift * far - shift * shift * (0.5 - share))
                won = (odds if canary else 1.0) / (1.0 - share + share * odds)
                wealth[k] = min(wealth[k] * won, _WEALTH_MAX)

    def _facts(self) -> dict[str, Json]:
        stable, by = max(self.n - self.canaries, 1), len(_SHIFTS)
        won = [max(self._wealth[i * by : (i + 1) * by]) for i in range(len(self._squares))]
        most = sorted(self._places.items(), key=lambda one: (-won[one[1]], one[1]))[:_NAMED]
        tools: list[Json] = [
            [
                tool,
                rounded(self._canary[place] / max(self.canaries, 1)),
                rounded(self._stable[place] / stable),
            ]
            for tool, place in most
        ]
        canary, usual = (tools[0][1], tools[0][2]) if tools else (None, None)  # type: ignore[index]
        return {
            "observed": canary,
            "expected": usual,
            "canaries": self.canaries,
            "tools": tools,
        }
