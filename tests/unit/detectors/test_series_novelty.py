"""One numeric series: what is new in it is found, what recurs is not, and what is missing harms nothing."""

import copy
import itertools
import math
import pickle
import random
from collections.abc import Callable, Iterable

import pytest

from detectors import SeriesNovelty

DAY = 144


def alarms(series: Iterable[float | None], novelty: SeriesNovelty | None = None) -> list[int]:
    novelty = novelty or SeriesNovelty()
    return [i for i, x in enumerate(series) if novelty.update(x) is not None and novelty.fires]


def days(n: int, seed: int = 7) -> list[float]:
    """A pulse of twelve rows each day, in noise."""
    rng = random.Random(seed)
    return [5 + rng.gauss(0.0, 0.5) + 40 * (i % DAY < 12) for i in range(n)]


def noise(n: int, seed: int = 7) -> list[float]:
    rng = random.Random(seed)
    return [50 + rng.gauss(0.0, 1.0) for _ in range(n)]


def test_a_spike_is_found_at_once() -> None:
    """A value never shown before, in the row in which it comes."""
    series = noise(1200)
    series[1000] = 75.0

    assert 1000 in alarms(series)


def test_a_dip_within_the_range_is_found() -> None:
    """Between the values of night and day lie values that never come: an extreme is not needed."""
    series = days(2000)
    series[1500] = 25.0

    assert 1500 in alarms(series)


def test_a_lasting_shift_is_one_alarm() -> None:
    """It is told once and then learnt: no second alarm in the next thousand rows."""
    series = noise(2600)
    for i in range(1500, 2600):
        series[i] += 20.0
    found = [i for i in alarms(series) if i >= 1500]

    assert found[0] == 1500
    assert len(found) <= 2


@pytest.mark.parametrize("value", [0.0, 45.0, -1e12])
def test_a_constant_series_is_quiet_until_it_changes(value: float) -> None:
    """No division by a spread of nothing, and any change is news."""
    series = [value] * 3000

    assert alarms(series) == []
    assert alarms([*series, value + max(1.0, abs(value) * 1e-6)]) == [3000]


def test_a_season_is_learnt() -> None:
    """Days that recur bring no alarm once they are known, though every pulse is an extreme."""
    found = alarms(days(4000))

    assert [i for i in found if i > 600] == []


def test_a_pulse_that_does_not_come_is_found() -> None:
    """Every value is normal and so is each short stretch: only the course of the day is not."""
    series = days(4000)
    at = 20 * DAY
    series[at : at + 12] = series[at + 60 : at + 72]
    novelty = SeriesNovelty()
    found = []
    for i, value in enumerate(series):
        novelty.update(value)
        if novelty.fires and i > 600:
            found.append((i, novelty.evidence()["kind"]))

    assert found[0][0] < at + 48
    assert all(at <= i < at + 256 and kind == "course" for i, kind in found)
    assert len(found) <= 2  # the pulse stays in the course for 256 rows, longer than the pause


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
def test_missing_values_change_nothing(missing: float | None) -> None:
    """They are no score, no alarm, and leave no trace in what follows."""
    series = days(1600)
    series[1500] = 200.0
    holes = list(itertools.chain.from_iterable((x, missing) for x in series))
    plain, pierced = SeriesNovelty(), SeriesNovelty()
    scores = [plain.update(x) for x in series]
    said = [(pierced.update(x), pierced.fires) for x in holes]

    assert [score for score, _ in said[::2]] == scores
    assert set(said[1::2]) == {(0.0, False)}
    assert pierced.n == plain.n
    assert pierced.evidence()["observed"] is None


@pytest.mark.parametrize("change", [lambda x: 1e6 * x, lambda x: 1e-6 * x, lambda x: x / 8 - 4])
def test_unit_and_zero_of_the_series_do_not_matter(change: Callable[[float], float]) -> None:
    """No scale is given and none is supposed: the same rows alarm in any unit."""
    series = days(2500)
    series[1500] = 25.0

    assert alarms(map(change, series)) == alarms(series)


def test_a_new_scale_is_one_incident() -> None:
    """When a series continues a thousand times as large, it is told and then learnt."""
    series = noise(1500) + [1000 * x for x in noise(1500, seed=8)]
    found = [i for i in alarms(series) if i >= 1500]

    assert found[0] == 1500
    assert len(found) <= 4


def test_numbers_at_the_ends_of_their_range_are_survived() -> None:
    """Greatest and smallest floats: scores stay finite and later rows are judged."""
    novelty, rng = SeriesNovelty(), random.Random(7)
    odd = [1.7e308, -1.7e308, 5e-324, 0.0, -0.0]
    series = [rng.choice(odd) if rng.random() < 0.05 else rng.random() for _ in range(1500)]

    assert all(0 <= novelty.update(x) <= 8 for x in series)


def test_of_many_rows_some_rare_one_is_always_due() -> None:
    """In noise without a fault it alarms less than three times in a thousand rows, for long."""
    rng = random.Random(7)
    series = [rng.lognormvariate(0.0, 1.0) for _ in range(6000)]

    assert len([i for i in alarms(series) if i >= 1000]) <= 15


def test_restored_anywhere_it_goes_on_alike() -> None:
    """Also where buffers have just been made anew, or values begin to be let go."""
    rng = random.Random(7)
    series = [rng.gauss(0.0, 1.0) + 3 * math.sin(i / 20) for i in range(5800)]
    cuts = {1, 64, 300, 376, 1000, 2501, 2512, 5024, 5123}
    plain, moved = SeriesNovelty(), SeriesNovelty()
    for i, value in enumerate(series):
        if i in cuts:
            moved = pickle.loads(pickle.dumps(moved)) if i % 2 else copy.deepcopy(moved)

        assert moved.update(value) == plain.update(value), i
    assert moved.evidence() == plain.evidence()
    assert len(pickle.dumps(plain)) < 70_000
