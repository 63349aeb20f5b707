"""Nearest neighbours in a series equal those of a list that forgets nothing."""

import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.neighbours import History, Shingles, Values

numbers = st.lists(st.integers(-50, 50).map(lambda n: n / 4), min_size=1, max_size=120)


@given(numbers, st.integers(1, 20))
def test_the_history_is_the_end_of_the_series(series: list[float], size: int) -> None:
    """The last values, in their order, however often the room was made anew; also restored."""
    history = History(size)
    for i, value in enumerate(series):
        if i % 13 == 5:
            history = pickle.loads(pickle.dumps(history))
        history.append(value)

    assert history.last(size).tolist() == series[-size:]
    assert history.last(3).tolist() == series[-min(3, size) :]


@given(st.lists(st.integers(-50, 50).map(float), min_size=5, max_size=60), st.integers(-60, 60))
def test_the_nearest_values(values: list[float], value: int) -> None:
    """Mean distance to the five nearest, of what was added less what was dropped."""
    known = Values()
    for one in (*values, 7.0):
        known.add(one)
    known.drop(7.0)
    nearest = sorted(abs(value - one) for one in values)[:5]

    assert known.distance(float(value)) == pytest.approx(sum(nearest) / 5)
    assert len(known) == len(values)


@pytest.mark.parametrize(("points", "stride"), [(5, 1), (4, 3)])
def test_the_nearest_windows(points: int, stride: int) -> None:
    """Compared with a search by hand through all windows that ended before the newest began."""
    rng, series = random.Random(7), list[float]()
    history, shingles = History(2000), Shingles(points, stride, reach=400)
    for _ in range(900):
        series.append(rng.gauss(0.0, 1.0))
        history.append(series[-1])

    def window(end: int) -> list[float]:
        return [
            sum(series[end - i * stride - j] for j in range(stride)) / stride for i in range(points)
        ]

    newest, last = window(899), 899 - points * stride
    apart = [
        np.sqrt(sum((a - b) ** 2 for a, b in zip(newest, window(end), strict=True)))
        for end in range(last - 399, last + 1)
    ]
    found = shingles.compare(history, 900)

    assert found is not None
    assert found[0] == pytest.approx(sum(sorted(apart)[:5]) / 5)
    assert found[1] == pytest.approx(np.sqrt(np.mean(np.square(apart))))
    assert shingles.nearest(history, 900) == 899 - (last - 399 + int(np.argmin(apart)))


def test_too_few_rows_are_no_comparison() -> None:
    """Below twenty windows there is no nearest that would mean something."""
    history, shingles = History(2000), Shingles(10, 1, reach=400)
    found = []
    for i in range(60):
        history.append(float(i))
        found.append(shingles.compare(history, i + 1) is not None)

    assert found == [False] * 38 + [True] * 22


def test_rounding_is_no_difference() -> None:
    """What differs by less than a billionth of its size is the same."""
    values, history = Values(np.full(50, 1e6)), History(2000)
    for i in range(400):
        history.append(1e6 + 1e-5 * (i % 3))
    compared = Shingles(10, 1, reach=400).compare(history, 400)

    assert values.distance(1e6 + 1e-5) == 0.0
    assert compared is not None
    assert compared[0] == 0.0
