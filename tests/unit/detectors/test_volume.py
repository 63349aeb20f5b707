"""How much an agent does: the law of its own counts, by the hour, which nobody teaches by flooding it."""

import random
from math import exp, floor, inf, lgamma, log, log10, sin, tau

import pytest

from detectors import Volume, volume
from detectors.volume import _CLIP, _FAR, _NEAR, _Buckets

DAY, HOUR, MINUTE = 86_400.0, 3600.0, 60.0
MONDAY = 4 * DAY  # the first day of record time is a Thursday


def poisson(rng: random.Random, mean: float) -> int:
    left, count = exp(-mean), 0
    chance = rng.random()
    while chance > left:
        chance *= rng.random()
        count += 1
    return count


def alarms(detector: Volume, counts: list[int], begins: float = MONDAY) -> list[float]:
    """Seconds behind the begin at which minutes with so many calls fire."""
    found = []
    for minute, calls in enumerate(counts):
        if calls:
            detector.update(begins + minute * MINUTE, calls)
            if detector.fires:
                found.append(minute * MINUTE)
    return found


def steady(minutes: int = 300, mean: float = 5.0) -> Volume:
    """An agent with as many calls in every minute, but for chance."""
    rng, usual = random.Random(5), Volume()
    assert alarms(usual, [poisson(rng, mean) for _ in range(minutes)]) == []
    return usual


def test_the_chance_is_that_of_the_law() -> None:
    """The bound is above the exact tail of the negative binomial law, by less than a tenth of a decade."""
    for mean, size in ((3.0, 1.0), (150.0, 0.8), (20.0, 5.0), (0.5, 2.0), (40.0, 1e4)):
        buckets = volume._Buckets(60.0)
        buckets._upper, buckets._size = mean, size
        for count in (int(2 * mean) + 2, int(5 * mean) + 2):
            terms = (
                lgamma(k + size) - lgamma(k + 1) - lgamma(size)
                + size * log(size / (mean + size)) + k * log(mean / (mean + size))
                for k in range(count, count + 20_000)
            )  # fmt: skip
            exact = -log10(sum(map(exp, terms)))

            assert exact - 0.1 < buckets._bound(count) <= exact + 1e-9


@pytest.mark.parametrize("wide", [0.0, 1.0, 2.0])
def test_two_weeks_bring_hardly_a_false_alarm(wide: float) -> None:
    """With a daily season, at most the one that a key has in six weeks, were the law exact."""
    rng, usual, counts = random.Random(3), Volume(), []
    for minute in range(14 * 1440):
        mean = 6 * (1 + 0.8 * sin(minute / 1440 * tau))
        counts.append(poisson(rng, mean * (rng.gammavariate(1 / wide, wide) if wide else 1.0)))

    assert len(alarms(usual, counts)) <= 1


def test_runs_of_calls_are_no_surprise() -> None:
    """Calls come in runs of eight: four runs in one minute are chance, though the calls seem many."""
    rng, usual = random.Random(2), Volume()

    assert alarms(usual, [8 * poisson(rng, 0.2) for _ in range(20 * 1440)]) == []


def test_the_fivefold_is_said_within_half_a_minute() -> None:
    """Where work comes steadily, in 19 of 20 floods, wherever in the minute they begin."""
    found = 0
    for seed in range(20):
        rng, usual = random.Random(seed), steady(mean=30.0)
        now = MONDAY + 300 * MINUTE
        begins = now + rng.uniform(MINUTE, 2 * MINUTE)
        fired = False
        while now < begins + 30:
            now += rng.expovariate((5 if now > begins else 1) * 30.0 / MINUTE)
            usual.update(now)
            assert not (usual.fires and now < begins)
            fired |= usual.fires
        found += fired

    assert found >= 19


def test_pauses_teach_nothing_and_a_morning_is_no_flood() -> None:
    """Nine hours of work a day and none in the night: the mean is that of work, and nothing is said."""
    rng, usual = random.Random(4), Volume()
    day = [poisson(rng, 5.0) for _ in range(9 * 60)] + [0] * (15 * 60)

    assert alarms(usual, day * 5) == []
    assert usual._minute._mean.value == pytest.approx(5.0, rel=0.15)


def nights(days: int = 4) -> tuple[Volume, list[float]]:
    """Sixty calls a minute by day, three by night; then forty in each minute of an hour, at night."""
    rng, usual = random.Random(6), Volume()
    hours = [3.0] * 7 + [60.0] * 12 + [3.0] * 5
    counts = [poisson(rng, mean) for _ in range(days) for mean in hours for _ in range(60)]
    assert [at for at in alarms(usual, counts) if at > DAY] == []  # its first morning is one
    return usual, alarms(usual, [poisson(rng, 40.0) for _ in range(60)], MONDAY + days * DAY)


def test_the_hour_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is nothing by day is a flood at three in the night; without the profile it goes unseen."""
    _, said = nights()
    monkeypatch.setattr(volume, "_CELL_TRUST", inf)
    _, unsaid = nights()

    assert said
    assert said[0] <= 5 * MINUTE
    assert unsaid == []


def test_who_writes_little_is_known_after_a_day() -> None:
    """Fifteen calls in a day are no hundred scores; a flood on the next day is said all the same."""
    usual = Volume()
    calls = [1 if minute % 100 == 0 else 0 for minute in range(1440)]
    quiet = alarms(usual, calls)
    before = usual.status
    said = alarms(usual, [0] * 100 + [20] * 4, MONDAY + DAY)

    assert (quiet, before) == ([], "shadow")
    assert said


def test_a_flood_teaches_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """After half an hour of it a flood of a third is still one; unclipped it has become the habit."""
    flood = [600] * 30
    guarded, taught = steady(), steady()
    alarms(guarded, flood, MONDAY + 300 * MINUTE)
    monkeypatch.setattr(volume, "_CLIP", inf)
    alarms(taught, flood, MONDAY + 300 * MINUTE)

    assert guarded._minute._bound(200) > Volume.threshold
    assert taught._minute._bound(200) < Volume.threshold


def test_a_young_series_speaks_of_what_is_gross_alone() -> None:
    """After a quarter of an hour the sevenfold may be chance, later it may not; the fiftyfold never."""
    young, old = steady(15, mean=8.0), steady(1000, mean=8.0)
    for one in (young, old):
        one.update(MONDAY + 2000 * MINUTE, 1)  # opens a bucket

    assert young._minute._bound(24) < Volume.threshold < old._minute._bound(30)
    assert young._minute._bound(400) > Volume.threshold


def test_it_says_what_came_and_what_usually_does() -> None:
    """Counts, the busiest bucket, and quantiles in order."""
    usual = steady()
    usual.update(MONDAY + 300 * MINUTE, 50)
    told = usual.evidence()
    expected = told["expected"]

    assert usual.fires
    assert (told["observed"], told["minutes"]) == (50, 1)
    assert isinstance(expected, dict)
    assert 4 <= expected["median"] < expected["p95"] < expected["p999"] < told["observed"]
    assert told["busiest"] == usual._minute.busiest > expected["median"]


def test_time_that_falls_back_counts_as_now() -> None:
    """Record time never falls, and if it did nothing would be counted twice or lost."""
    usual = steady(20)
    usual.update(MONDAY + 20 * MINUTE, 3)
    usual.update(MONDAY, 4)

    assert usual._minute.recent == 7


@pytest.mark.parametrize("mean", [0.5, 1.0, 3.0, 20.0, 150.0])
@pytest.mark.parametrize("wide", [0.01, 0.2, 1.0, 5.0])
def test_the_tail_is_not_asked_for_only_where_nothing_is_rare(mean: float, wide: float) -> None:
    """Whatever the law: what is that near the mean teaches in full, and what is so far is no alarm yet."""
    buckets = _Buckets(60.0)
    buckets._mean.value, buckets._moment.value = mean, mean**2 * (1 + wide)
    buckets.busy = buckets._mean.memory
    buckets.open(1, 1.0, 1.0)
    near = floor(buckets._upper + _NEAR * buckets._deviation)
    far = floor(buckets._upper + _FAR * buckets._deviation)

    assert buckets._bound(near) <= _CLIP
    assert buckets._bound(far) < Volume.threshold
