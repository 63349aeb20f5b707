"""What the rule on slow calls promises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import LatencyQuantile


def fired(calls: list[float], declared: float | None = 1.0) -> list[int]:
    """Indexes at which it fires."""
    latency = LatencyQuantile()
    found = []
    for i, seconds in enumerate(calls):
        latency.update(seconds, declared)
        if latency.fires:
            found.append(i)
    return found


def test_two_slow_calls_of_twenty_fire_and_one_does_not() -> None:
    """The 95th percentile of twenty is the second slowest: one slow call is no incident."""

    assert fired([1.0] * 19 + [9.0]) == []
    assert fired([1.0] * 19 + [9.0, 9.0]) == [20]


def test_it_waits_for_twenty_calls() -> None:
    """Nineteen calls have no 95th percentile worth acting on."""

    assert fired([9.0] * 19) == []
    assert fired([9.0] * 20) == [19]


def test_three_times_the_declared_seconds_is_the_limit() -> None:
    """Exactly three times the declaration is still allowed; without one it says nothing."""

    assert fired([3.0] * 30) == []
    assert fired([3.01] * 20) == [19]
    assert fired([100.0] * 40, declared=None) == []


def test_it_recovers_with_its_window() -> None:
    """When less than two of the last twenty are slow it stops firing."""

    assert fired([9.0] * 20 + [1.0] * 30) == list(range(19, 38))


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_left_out(seconds: float) -> None:
    """A duration that can't be is no call: the count doesn't move."""
    latency = LatencyQuantile()
    latency.update(seconds, 1.0)

    assert latency.n == 0


@given(st.lists(st.floats(0, 1e6), min_size=20, max_size=60))
def test_the_percentile_is_that_of_the_last_twenty(calls: list[float]) -> None:
    """Observed equals the nearest-rank 95th percentile of a plain sorted list."""
    latency = LatencyQuantile()
    for seconds in calls:
        latency.update(seconds, 1.0)

    assert latency.evidence()["observed"] == sorted(calls[-20:])[18]
