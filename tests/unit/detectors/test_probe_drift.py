"""Wrong probes: one is noted, a set that goes wrong too often alarms, chance does not."""

import random
from collections.abc import Callable

import pytest

from detectors import ProbeDrift

PROBES = 20


def first(wrong: Callable[[random.Random, int], bool], seed: int, most: int = 1000) -> int | None:
    """Probes until the first alarm, one after the other through the set."""
    rng, drift = random.Random(seed), ProbeDrift()
    for i in range(most):
        drift.update(f"p{i % PROBES}", wrong(rng, i))
        if drift.fires:
            return i + 1
    return None


def test_chance_raises_fewer_than_one_alarm_in_a_thousand_probes() -> None:
    """Each probe goes wrong in just the 5 % that are given to chance: 100 times 1,000 probes."""
    alarms = 0
    for seed in range(100):
        rng, drift = random.Random(seed), ProbeDrift()
        for i in range(1000):
            drift.update(f"p{i % PROBES}", rng.random() < 0.05)
            alarms += drift.fires

    assert 10 <= alarms <= 100


def test_probes_that_go_well_are_silent() -> None:
    """No note, and a score far from its threshold, however often they run."""
    drift = ProbeDrift()
    said = [(drift.update(f"p{i % PROBES}", False), drift.fires, drift.warns) for i in range(500)]

    assert max(score for score, _, _ in said) < 1.0
    assert not any(fires or warns for _, fires, warns in said)


def test_one_probe_of_twenty_that_always_fails_is_found() -> None:
    """In its third round, though the set as a whole is within what chance is given."""
    found = [
        first(lambda rng, i: i % PROBES == 3 or rng.random() < 0.01, seed) for seed in range(50)
    ]

    assert all(one is not None and one <= 3 * PROBES for one in found)


def test_many_probes_that_sometimes_fail_are_found() -> None:
    """No single one stands out: the evidence of the whole set tells."""
    found = [first(lambda rng, i: rng.random() < 0.25, seed) for seed in range(50)]

    assert sorted(one or 1000 for one in found)[25] <= 40


def test_the_alarm_names_who_fails_and_then_begins_anew() -> None:
    """The probes with most evidence; after that the same again is a note until the pause is over."""
    drift = ProbeDrift()
    for _ in range(2):
        for probe in ("a", "b"):
            drift.update(probe, probe == "b")
    drift.update("b", True)

    assert drift.fires and drift.suspects == ["b"] and drift.evidence()["failed"] == 3
    drift.update("b", True)
    assert not drift.fires and drift.warns and drift.evidence()["failed"] == 1


def test_what_lasts_is_said_again_after_the_pause() -> None:
    """A drift that nobody mends is no news each time, and not forgotten either."""
    drift = ProbeDrift()
    fired = []
    for i in range(100):
        drift.update("a", True)
        fired += [i] * drift.fires

    assert fired == [2, 42, 82]


def test_a_set_without_end_stays_small() -> None:
    """Who names ever new probes teaches it nothing and fills nothing."""
    drift = ProbeDrift()
    for i in range(5000):
        drift.update(f"probe-{i}", i % 2 == 0)

    assert len(drift._own) <= 16


@pytest.mark.parametrize("probes", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("good", [0, 1, 5, 60])
def test_the_third_failure_in_a_row_fires(probes: int, good: int) -> None:
    """Of one probe or of several; of several that have never gone well, the fourth."""
    drift, failures = ProbeDrift(), 0
    for n in range(good):
        drift.update(f"p{n % probes}", False)
    while not drift.fires:
        drift.update(f"p{(good + failures) % probes}", True)
        failures += 1

    assert failures == (4 if probes > 1 and not good else 3)
