"""Results that lose their form: found within a few, while what is usual and what is mended stay silent."""

import random

import pytest

from detectors import MalformedResult


def alarms(share: float, then: float, seed: int, lasts: int = 200) -> list[int]:
    """Where it fires: 600 results with one share of misfits, then some with another."""
    rng, results, found = random.Random(seed), MalformedResult(), []
    for i in range(600 + lasts):
        results.update(rng.random() < (share if i < 600 else then), "missing", "total", "a1")
        if results.fires:
            found.append(i)
    return found


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3])
def test_a_tools_own_share_is_usual(share: float) -> None:
    """Hardly an alarm in 16,000 results, however many are malformed as ever."""
    assert sum(len(alarms(share, share, seed)) for seed in range(20)) <= 1


def test_a_rise_is_found_and_goes_on() -> None:
    """From 1 % to 20 %: within 40 results at the median, and again while it lasts."""
    found = [[i - 600 for i in alarms(0.01, 0.2, seed) if i >= 600] for seed in range(20)]

    assert sorted(one[0] for one in found)[10] <= 40
    assert all(len(one) >= 2 for one in found)


def test_what_stays_broken_stays_an_alarm() -> None:
    """Nobody gets used to it: two thousand results later it is still one, every 50 results."""
    for seed in range(5):
        assert [i for i in alarms(0.01, 0.5, seed, lasts=2000) if i >= 2400][2:]


def test_one_misfit_is_no_news() -> None:
    """Not even of a tool that never had one."""
    results = MalformedResult()
    for i in range(1000):
        results.update(i == 900, "type", "total", "a1")
        assert not results.fires


def test_evidence_is_of_the_newest_misfit() -> None:
    """Its field, what is wrong and its hash belong together; results in order change nothing of it."""
    results = MalformedResult()
    results.update(True, "type", "id", "a1")
    results.update(True, "missing", "total", "b2")
    results.update(False)
    told = results.evidence()

    assert (told["wrong"], told["field"], told["example"]) == ("missing", "total", "b2")
    assert (told["observed"], told["results"]) == (2, 3)


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0])
def test_a_prior_is_a_share(prior: float) -> None:
    """None and all can't be learnt from."""
    with pytest.raises(ValueError, match="prior"):
        MalformedResult(prior=prior)
