"""What the learnt latency promises."""

import math
import random

import pytest

from detectors import LatencyBaseline


def warmed(n: int = 400, spread: float = 0.3) -> LatencyBaseline:
    rng, latency = random.Random(1), LatencyBaseline()
    for _ in range(n):
        latency.update(rng.lognormvariate(0.0, spread))
    return latency


def test_the_third_slow_call_of_ten_fires() -> None:
    """One slow call is no incident, nor are two; the third within ten is."""
    latency = warmed()
    seen = []
    for seconds in (9.0, 1.0, 9.0, 1.0, 1.0, 9.0):
        latency.update(seconds)
        seen.append(latency.fires)

    assert seen == [False, False, False, False, False, True]


def test_slow_calls_far_apart_never_fire() -> None:
    """Three slow calls with ten usual ones between them are the tail, not an incident."""
    latency = warmed()
    for seconds in [9.0, *[1.0] * 10] * 3:
        latency.update(seconds)

        assert not latency.fires


def test_fast_calls_are_not_odd() -> None:
    """Only the slow side scores: an answer from a cache is good news."""
    latency = warmed()

    assert latency.update(0.001) == 0.0


def test_a_constant_tool_does_not_alarm_on_a_hair() -> None:
    """A tool that always takes a second may take 10 % more."""
    latency = LatencyBaseline()
    for _ in range(400):
        latency.update(1.0)

    assert latency.update(1.1) < latency.threshold


def test_one_absurd_call_teaches_little() -> None:
    """A call of an hour moves what is expected no more than one five deviations out."""
    latency, clipped = warmed(), warmed()
    expected = latency.evidence()["expected"]
    assert isinstance(expected, dict)
    latency.update(3600.0)
    clipped.update(expected["median"] * math.exp(6 * 0.3))

    assert latency.evidence()["expected"] == clipped.evidence()["expected"]


def test_expected_quantiles_are_those_of_the_stream() -> None:
    """Median, 95 % and 99.9 % of a lognormal stream come out within a fifth."""
    expected = warmed(3000).evidence()["expected"]

    assert isinstance(expected, dict)
    for name, z in {"median": 0.0, "p95": 1.645, "p999": 3.09}.items():
        assert expected[name] == pytest.approx(math.exp(0.3 * z), rel=0.2)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_left_out(seconds: float) -> None:
    """A duration that can't be neither scores nor teaches."""
    latency = warmed()
    before = latency.evidence()
    latency.update(seconds)

    assert latency.evidence() == before
