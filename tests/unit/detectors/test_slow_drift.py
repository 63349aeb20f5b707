"""What nobody can teach: a reference that was frozen, and one that moves along as the control."""

import random

import pytest

from detectors import SlowDrift

DAYS, CALLS = 90, 200


def creeping(rng: random.Random, day: int) -> bool:
    """A call of somebody who lets one in a hundred more of the failures through each day."""
    return rng.random() < 0.05 * 1.01 ** max(0, day - 10)


def found(seed: int, moves: bool) -> bool:
    """Whether ninety days of it raise an alarm; with `moves` the reference is taken anew every three days."""
    rng, drift = random.Random(seed), SlowDrift()
    for day in range(DAYS):
        if moves and day % 3 == 0:
            drift = SlowDrift()
        for _ in range(CALLS):
            drift.update(creeping(rng, day))
            if drift.fires:
                return True
    return False


def test_who_moves_slowly_is_found() -> None:
    """One percent a day, for three months: by the frozen reference always, by the other hardly ever."""
    frozen = [found(seed, moves=False) for seed in range(20)]
    moving = [found(seed, moves=True) for seed in range(20)]

    assert sum(frozen) == 20
    assert sum(moving) <= 3


def test_the_reference_learns_nothing_after_it_was_frozen() -> None:
    """However long it goes well, or badly."""
    drift, rng = SlowDrift(), random.Random(1)
    for _ in range(500):
        drift.update(rng.random() < 0.05)
    frozen = drift.reference
    for share in (0.0, 0.5):
        for _ in range(3_000):
            drift.update(rng.random() < share)

    assert drift.reference == frozen > 0.05


def test_one_drift_is_one_alarm() -> None:
    """What lasts is said again after a while, not all the time; what gets better says nothing."""
    drift, rng, alarms = SlowDrift(), random.Random(2), []
    for i in range(7_000):
        share = 0.05 if i < 1_000 else 0.12 if i < 4_000 else 0.01
        drift.update(rng.random() < share)
        alarms += [i] if drift.fires else []

    assert 1 <= len(alarms) <= 2
    assert all(1_000 <= at < 4_000 for at in alarms)


def test_before_the_reference_it_is_cold() -> None:
    """Nothing but failures from the start is what is usual here; the rules say the rest."""
    drift = SlowDrift()
    scores = {drift.update(True) for _ in range(499)}

    assert (scores, drift.status, drift.fires) == ({0.0}, "cold", False)
    assert drift.evidence()["expected"] is None
    drift.update(True)
    assert drift.status == "live"
    assert drift.reference == pytest.approx(0.9)
