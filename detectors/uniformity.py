"""D41: whether a detector's p-values are what they say: bounded counts, and which check has failed.

Shared by all statistical detectors that tell a p; no detector itself.
"""

from dataclasses import dataclass
from typing import Literal

from detectors.base import Json, rounded

SCORES_MIN = 500
"""Scores of a window; with fewer, five times as many rare ones as there should be may be chance."""
WINDOW_SECONDS = 3600.0
"""Of record time: a fault of some minutes is no illness of the detector that finds it."""
EDGES = (0.1, 0.01, 0.001)
_TIMES = (3.0, 5.0, 30.0)
"""So many times its share of scores below an edge makes a window ill. Of 500 exact p-values more than 150,
25 or 15 are chance in 6e-36, 2e-11 and 3e-18 of the windows (binomial tails). What is estimated from some
hundred calls is off by less than twice, and a tool of which one call in fifty is slow is no other law yet."""
_WINDOWS = 2
"""Ill ones in a row demote: a fault of an hour may fill one."""

Health = Literal["", "ill", "well"]


@dataclass(slots=True)
class Uniformity:
    """P-values of one detector of one agent, of all that it watches there: are too many of them small?

    p is exact only for scores that are like those before. Where they are not (a tail heavier than the
    detector supposes, two kinds of calls in one), p-values pile up at 0 and each alarm means less than it
    says. Too few small ones are no harm: then it is only slow.

    Notes
    -----
    A window is at least 500 scores and an hour. One is ill if more of its p-values lie below 0.1, 0.01 or
    0.001 than 3, 5 or 30 times what should. Two ill ones in a row demote the detector, one well one brings
    it back. 0.2 µs; 120 bytes in a checkpoint.

    Examples
    --------
    >>> exact, piled = Uniformity(), Uniformity()
    >>> for i in range(1200):
    ...     exact.add(i * 0.618 % 1, now=10.0 * i)
    ...     piled.add((i * 0.618 % 1) ** 3, now=10.0 * i)
    >>> exact.ill, piled.ill, piled.facts(12_000.0)["check"]
    (False, True, 'p below 0.01')
    """

    n: int = 0  # scores of this window
    below: tuple[int, int, int] = (0, 0, 0)  # of them, by edge
    began: float = 0.0  # record time
    at: float = 0.0  # of the latest score
    shares: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the last whole window
    row: int = 0  # ill windows in a row
    ill: bool = False
    told: bool = False  # whether `ill` has been said as it is

    def add(self, p: float, now: float) -> None:
        """Take one p-value at record time `now`, s."""
        if not self.n:
            self.began = now
        self.n += 1
        self.at = now
        if p <= EDGES[0]:
            a, b, c = self.below
            self.below = (a + 1, b + (p <= EDGES[1]), c + (p <= EDGES[2]))
        if self.n >= SCORES_MIN and now - self.began >= WINDOW_SECONDS:
            self._close()

    def changed(self) -> bool | None:
        """Whether it has fallen ill (True) or is well again (False) since this was asked; else None."""
        if self.ill == self.told:
            return None
        self.told = self.ill
        return self.ill

    @property
    def check(self) -> str:
        """The check that fails worst in the last whole window; empty where none does."""
        return self._worst()[1]

    def facts(self, now: float) -> dict[str, Json]:
        """What a signal of the detector's health says."""
        return {
            "check": self.check,
            "shares": {
                f"p<={edge:g}": rounded(s) for edge, s in zip(EDGES, self.shares, strict=True)
            },
            "last_score_s": rounded(max(now - self.at, 0.0)),
        }

    def _worst(self) -> tuple[float, str]:
        over = [
            (share / (times * edge), f"p below {edge:g}")
            for share, times, edge in zip(self.shares, _TIMES, EDGES, strict=True)
        ]
        worst, check = max(over, key=lambda one: one[0])
        return (worst, check) if worst > 1.0 else (worst, "")

    def _close(self) -> None:
        a, b, c = self.below
        self.shares = (a / self.n, b / self.n, c / self.n)
        self.row = self.row + 1 if self._worst()[1] else 0
        self.ill = self.row >= _WINDOWS
        self.n, self.below = 0, (0, 0, 0)
