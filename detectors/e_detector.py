"""The arithmetic of Shiryaev-Roberts e-detectors: bets on a share, and evidence as a score. Pure.

Shin, Ramdas, Rinaldo (2023). E-detectors: a nonparametric framework for sequential change detection. NEJSDS.
"""

import math

from detectors.base import rounded

BOUNDS = (0.0, 16.0)
"""Of evidence as a score."""


def odds(share: float, worse: float, seen: bool) -> float:
    """What a bet on the share `worse` wins against `share`, by an event seen or one that did not come.

    Examples
    --------
    >>> odds(0.1, 0.2, True), round(odds(0.1, 0.2, False), 3)
    (2.0, 0.889)
    """
    return worse / share if seen else (1 - worse) / (1 - share)


def logarithm(evidence: float) -> float:
    """Mean evidence as a score: its log10 in `BOUNDS`, 0 where it speaks for no change.

    Examples
    --------
    >>> logarithm(0.3), logarithm(1000.0)
    (0.0, 3.0)
    """
    return rounded(min(math.log10(evidence), BOUNDS[1])) if evidence > 1.0 else 0.0
