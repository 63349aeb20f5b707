"""What siblings let expect of a newcomer: the better the more they are alike, and no single one moves it."""

import random
from collections.abc import Callable

import pytest

from detectors import ErrorBaseline, LatencyBaseline
from detectors.shrinkage import WORTH_MAX, WORTH_MIN, Normal, Share, normal, share

ALIKE = Share(0.02, 50.0)
QUICK = Normal(0.0, 30.0, 0.04)  # a second, give or take a fifth


def fired(baseline: ErrorBaseline, rate: float, calls: int = 200, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    return [
        i for i in range(1, calls + 1) if baseline.update(rng.random() < rate) and baseline.fires
    ]


def test_siblings_that_differ_are_worth_little() -> None:
    """The same mean twice; where it says nothing of the next one, a few calls of its own outweigh it."""
    alike, apart = share([200] * 6, [20] * 6), share([200] * 6, [0, 4, 8, 32, 36, 40])

    assert alike.mean == pytest.approx(apart.mean, abs=1e-3)
    assert (alike.worth, apart.worth < 20) == (WORTH_MAX, True)


def test_chance_between_counts_is_no_difference() -> None:
    """Thirty calls each scatter anyway; taken for differences between agents they would weaken the prior."""
    found = share([30] * 8, [1, 2, 6, 3, 2, 5, 3, 4])

    assert found.worth == WORTH_MAX


def test_a_prior_of_one_kind_has_bounds() -> None:
    """Neither are siblings taken for certain, nor does a wild prior count for nothing."""
    assert share([200] * 40, [2] * 40).worth == WORTH_MAX
    assert share([200] * 3, [0, 100, 200]).worth == WORTH_MIN
    assert share([200] * 3, [0] * 3).mean > 0.0


@pytest.mark.parametrize("odd", [0, 200])
def test_one_poisoned_sibling_moves_nothing(odd: int) -> None:
    """An agent that always fails, or claims never to, among six that agree."""
    clean, poisoned = share([200] * 7, [5] * 7), share([200] * 7, [5] * 6 + [odd])

    assert poisoned.mean == pytest.approx(clean.mean, rel=0.05)
    assert poisoned.worth == clean.worth


def test_one_slow_sibling_moves_nothing() -> None:
    """The same for durations, whose mean has no bound."""
    clean = normal([0.0, 0.1, -0.1, 0.05, -0.05, 0.0], [0.04] * 6, [200] * 6)
    poisoned = normal([0.0, 0.1, -0.1, 0.05, -0.05, 9.0], [0.04] * 5 + [50.0], [200] * 6)

    assert abs(poisoned.mean - clean.mean) < 0.05
    assert poisoned.variance == pytest.approx(clean.variance)


def test_a_faulty_newcomer_is_found_before_it_is_warm() -> None:
    """Three of ten calls fail from the first on; without siblings nothing is said in 200 calls."""
    told, alone = ErrorBaseline(), ErrorBaseline()
    told.inherit(ALIKE, 7)
    first = fired(told, 0.3)

    assert first and first[0] <= 30
    assert fired(alone, 0.3) == []


def test_its_healthy_twins_are_silent() -> None:
    """Two hundred newcomers like their siblings: at most one alarm in all their first 200 calls."""
    alarms = 0
    for seed in range(200):
        twin = ErrorBaseline()
        twin.inherit(ALIKE, 7)
        alarms += len(fired(twin, 0.02, seed=seed))

    assert alarms <= 1


def test_a_call_repeated_once_is_no_alarm() -> None:
    """Two failures in a row are rare among independent calls, and usual for one that is tried again."""
    baseline = ErrorBaseline()
    baseline.inherit(ALIKE, 7)
    twice = [baseline.update(True), baseline.update(True)]

    assert twice == [0.0, 0.0]
    assert baseline.update(True) >= baseline.threshold


def test_own_calls_win_quickly() -> None:
    """A newcomer that fails more than its siblings by nature is told of, and then judged by itself."""
    baseline = ErrorBaseline()
    baseline.inherit(ALIKE, 7)
    rng = random.Random(3)
    found = [i for i in range(600) if baseline.update(rng.random() < 0.15) and baseline.fires]

    assert [i for i in found if i >= 200] == []
    assert baseline.evidence()["baseline"] == pytest.approx(0.15, abs=0.05)


def test_who_knows_itself_inherits_nothing() -> None:
    """A prior that comes late changes no live detector."""
    errors, seconds = ErrorBaseline(), LatencyBaseline()
    for i in range(400):
        errors.update(i % 20 == 0)
        seconds.update(1.0 + i % 5 / 10)
    known = errors.evidence(), seconds.evidence()
    errors.inherit(Share(0.9, 50.0), 7)
    seconds.inherit(Normal(5.0, 50.0, 0.01), 7)

    assert (errors.evidence(), seconds.evidence()) == known
    assert (errors.siblings, seconds.siblings) == (0, 0)


def test_what_a_cold_alarm_rests_on_is_said() -> None:
    """Its status is cold and it counts the siblings; once live it speaks for itself."""
    baseline = ErrorBaseline()
    baseline.inherit(ALIKE, 7)
    for i in range(20):
        baseline.update(i % 2 == 0)
    cold = baseline.evidence()
    for i in range(200):
        baseline.update(i % 2 == 0)
    live = baseline.evidence()

    assert (cold["status"], cold["siblings"]) == ("cold", 7)
    assert (live["status"], "siblings" in live) == ("live", False)


@pytest.mark.parametrize(
    ("make", "odd"), [(lambda: QUICK, True), (lambda: Normal(0.0, 0.02, 0.04), False)]
)
def test_a_slow_newcomer(make: Callable[[], Normal], odd: bool) -> None:
    """Five times slower from the first call on: an alarm where siblings are alike, none where they differ."""
    latency, rng = LatencyBaseline(), random.Random(1)
    latency.inherit(make(), 5)
    slow = [
        i for i in range(60) if latency.update(5 * rng.lognormvariate(0, 0.2)) and latency.fires
    ]

    assert bool(slow) == odd
    assert not slow or slow[0] == 2


@pytest.mark.parametrize("before", [0, 5])
def test_a_slow_beginner_does_not_vouch_for_itself(before: int) -> None:
    """Neither by the calls that it makes while it asks, nor by those of which nothing was said yet."""
    latency = LatencyBaseline()
    first = [latency.update(6.0) for _ in range(before)]
    latency.inherit(Normal(0.0, 3.0, 0.1225), 5)
    found = [i for i in range(10) if latency.update(6.0) and latency.fires]

    assert (first, found) == ([0.0] * before, [2])


def test_three_alike_by_chance_are_no_narrow_law() -> None:
    """Their means within a hundredth, and a newcomer a third slower: nothing odd among few."""
    prior = normal([0.0, 0.01, -0.01], [0.0025] * 3, [200] * 3)
    latency = LatencyBaseline()
    latency.inherit(prior, 3)

    assert [latency.update(1.35) for _ in range(5)] < [latency.threshold] * 5


def test_siblings_without_any_spread_are_a_prior_too() -> None:
    """A tool that always takes the same time, or ages apart: finite, and nothing is divided by nothing."""
    for means in ([0.0, 0.0, 0.0], [-9.0, 0.0, 900.0]):
        latency = LatencyBaseline()
        latency.inherit(normal(means, [0.0] * 3, [30] * 3), 3)

        assert 0.0 <= latency.update(1.0) <= latency.bounds[1]


def test_healthy_newcomers_are_not_called_slow() -> None:
    """A hundred like their siblings, two hundred calls each."""
    alarms = 0
    for seed in range(100):
        latency, rng = LatencyBaseline(), random.Random(seed)
        latency.inherit(QUICK, 5)
        own = rng.gauss(0.0, 0.2 / QUICK.worth**0.5)
        for _ in range(200):
            latency.update(rng.lognormvariate(own, 0.2))
            alarms += latency.fires

    assert alarms == 0
