"""One number by which alarms of all detectors can be put in order: what it would cost, how sure it is. Pure.

Scores have no common scale: rounds of a loop, shares, e-values, deviations. What they do share is the
severity that the catalogue gives to what follows if the alarm is right: that decides first. Within one
severity counts what a detector can prove: a statistical one its p, but never more than its own history can
show; a rule or a test of versions, which errs by no chance that is known, how far it is past its mark.
"""

from math import log10
from typing import Any

from detectors import DETECTORS
from detectors.alarm_budget import HIGHEST, surprise
from detectors.base import rounded

SEVERITIES = ("info", "low", "medium", "high", "critical")
_WIDTH = 0.99  # of one severity: the least of the next stands above it
_FIRED = 0.5  # what has only warned stands below this part of its severity


def rank(said: dict[str, Any]) -> float:
    """Rank in [0, 4.99] of an alarm: its severity in whole numbers, its certainty behind the point.

    Parameters
    ----------
    said
        The fields of a signal.

    Notes
    -----
    Two alarms of one detector and severity stand as their scores do; so do two statistical ones of different
    detectors as their p-values. A rule beside another rule of its severity is no more than a convention.

    Examples
    --------
    >>> loop = {"detector": "exact_loop", "evidence_class": "rule", "severity": "high", "threshold": 4.0}
    >>> rank(loop | {"score": 4.0}), rank(loop | {"score": 3.0, "severity": "medium"})
    (3.495, 2.37125)
    >>> odd = {"detector": "sequence_surprise", "evidence_class": "statistical", "severity": "high"}
    >>> [rank(odd | {"score": 6.0, "threshold": 2.0, "n": n}) for n in (99, 10**6)]
    [3.33, 3.99]
    """
    return rounded(SEVERITIES.index(said["severity"]) + _WIDTH * _certainty(said))


def fact(severity: str) -> float:
    """Rank of what is no score of any detector: a cause that several agents share, a brake.

    >>> fact("high")
    3.99
    """
    return rounded(SEVERITIES.index(severity) + _WIDTH)


def _certainty(said: dict[str, Any]) -> float:
    """In [0, 1]; whole for what is no score but a fact."""
    kind = DETECTORS.get(said["detector"])
    mark = said.get("threshold", 0.0)
    if kind is None or mark <= 0:
        return 1.0
    score, highest = said.get("score", 0.0), kind.bounds[1]
    if said["evidence_class"] == "statistical":
        found = surprise(said.get("evidence", {}), score, mark, highest)
        return min(found, log10(1 + said.get("n", 0)), HIGHEST) / HIGHEST
    if score < mark:
        return float(_FIRED * max(score, 0.0) / mark)
    beyond = (score - mark) / (highest - mark) if highest > mark else 1.0
    return _FIRED + (1 - _FIRED) * min(beyond, 1.0)
