"""What the learnt failure rate promises."""

import random

import pytest

from detectors import ErrorBaseline


def played(shares: list[tuple[int, float]], seed: int = 1) -> tuple[ErrorBaseline, list[int]]:
    """The detector after (calls, failure share) in turn, and the indexes of its alarms."""
    rng, baseline, alarms, i = random.Random(seed), ErrorBaseline(), list[int](), 0
    for calls, share in shares:
        for _ in range(calls):
            baseline.update(rng.random() < share)
            if baseline.fires:
                alarms.append(i)
            i += 1
    return baseline, alarms


def test_a_rise_the_rule_cannot_see_is_found() -> None:
    """From 2 % to 20 % is far below the rule's half, and found within two windows."""
    _, alarms = played([(1000, 0.02), (80, 0.2)])

    assert alarms and 1000 <= alarms[0] < 1080


def test_what_is_usual_for_a_key_is_no_alarm() -> None:
    """A tool that always fails one call in five is not odd: its own past is the measure."""
    _, alarms = played([(3000, 0.2)])

    assert alarms == []


def test_a_burst_does_not_excuse_itself() -> None:
    """What leaves the window while the score is above the threshold isn't learnt."""
    baseline, alarms = played([(1000, 0.02), (12, 0.9), (80, 0.02)])
    learnt = baseline.evidence()["baseline"]

    assert alarms and alarms[0] >= 1000
    assert isinstance(learnt, float)
    assert learnt < 0.03  # 0.06 if all of the burst were learnt


def test_a_lasting_level_becomes_the_baseline() -> None:
    """After a thousand calls at the new level it is normal, and the score is low again."""
    baseline, alarms = played([(1000, 0.02), (1500, 0.3)])

    assert alarms and alarms[-1] < 1800
    assert baseline.evidence()["baseline"] == pytest.approx(0.3, abs=0.08)


def test_getting_better_is_no_alarm() -> None:
    """A fall from 30 % to 1 % is a drift, and good news; the new baseline knows it."""
    baseline, alarms = played([(1500, 0.3), (1000, 0.01)])
    learnt = baseline.evidence()["baseline"]

    assert not [i for i in alarms if i >= 1500]
    assert isinstance(learnt, float)
    assert learnt < 0.05


def test_a_wrong_prior_is_unlearnt_during_the_warm_up() -> None:
    """A prior of 2 % for a tool that fails half of its calls must not alarm for ever."""
    _, alarms = played([(5000, 0.5)])

    assert len(alarms) <= 5


def test_the_expectation_is_in_failures_of_a_window() -> None:
    """The record says how many of 40 calls may fail: median, 95 % and 99.9 %."""
    baseline, _ = played([(3000, 0.1)])
    expected = baseline.evidence()["expected"]

    assert isinstance(expected, dict)
    assert 3 <= expected["median"] <= 5 < expected["p95"] < expected["p999"] <= 16


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0])
def test_an_impossible_prior_is_refused(prior: float) -> None:
    """A share of nothing or of all would leave no doubt to learn from."""
    with pytest.raises(ValueError, match="prior"):
        ErrorBaseline(prior=prior)
