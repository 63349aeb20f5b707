"""Alarms of all detectors in one order: what it would cost first, then how sure the detector can be."""

from typing import Any

import pytest

from detectors import CATALOGUE, DETECTORS
from stream.ranking import SEVERITIES, fact, rank


def said(detector: str, score: float, severity: str = "high", **more: Any) -> dict[str, Any]:
    return {
        "detector": detector, "evidence_class": CATALOGUE[detector].evidence_class, "severity": severity,
        "score": score, "threshold": DETECTORS[detector].threshold, "n": 10**6, "evidence": {}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "detector", sorted(name for name in CATALOGUE if "threshold" in DETECTORS[name].__dict__)
)
def test_severity_goes_before_every_score(detector: str) -> None:
    """The least of a severity stands above the most of the one before it."""
    least, most = DETECTORS[detector].bounds

    for number, severity in enumerate(SEVERITIES):
        low, high = (rank(said(detector, score, severity)) for score in (least, most))
        assert number <= low <= high < number + 1


def test_what_fires_stands_above_what_warns() -> None:
    """Also where both are of one severity."""
    assert (
        rank(said("exact_loop", 3.0))
        < rank(said("exact_loop", 4.0))
        < rank(said("exact_loop", 9.0))
    )
    assert rank(said("tainted_argument", 0.4)) < rank(said("tainted_argument", 0.65))


def test_a_short_history_proves_little() -> None:
    """However rare a fit to 30 scores calls something, it ranks as one in 31 at most."""
    young, old = (rank(said("sequence_surprise", 8.0, n=n)) for n in (30, 10**6))

    assert young == rank(said("sequence_surprise", 1.491362, n=10**6))
    assert young < old


def test_two_statistical_ones_stand_as_their_p() -> None:
    """A deviation that tells its p stands where a -log10 p of as much does."""
    odd = rank(said("step_vector", 0.999, evidence={"p": 0.001}))

    assert odd == rank(said("sequence_surprise", 3.0))
    assert odd > rank(said("sequence_surprise", 2.9))


def test_what_is_no_score_is_certain() -> None:
    """A file that is missing, a brake: nothing of its severity stands above it."""
    registry = {"detector": "registry", "evidence_class": "rule", "severity": "medium"}

    assert rank(registry) == fact("medium") == 2.99
