"""What the caps on calls promise."""

from detectors import CallRate


def test_the_first_call_above_a_cap_fires() -> None:
    """A cap of three a minute lets three run."""
    rate = CallRate()
    fired = [
        (rate.update(now, per_minute=3, per_day=None), rate.fires) for now in (0.0, 1.0, 2.0, 3.0)
    ]

    assert fired == [(0.333333, False), (0.666667, False), (1.0, False), (1.333333, True)]


def test_a_minute_later_calls_run_again() -> None:
    """The window slides: what is older than a minute is forgotten."""
    rate = CallRate()
    for i in range(10):
        rate.update(float(i), per_minute=5, per_day=None)

    assert rate.fires
    rate.update(70.0, per_minute=5, per_day=None)
    assert not rate.fires and rate.minute == 1


def test_the_day_is_the_utc_day_of_record_time() -> None:
    """One call before midnight and one after it are calls of two days."""
    rate, midnight = CallRate(), 20_000 * 86_400.0
    for now in (midnight - 2.0, midnight - 1.0):
        rate.update(now, per_minute=None, per_day=1)

    assert rate.fires and rate.today == 2
    rate.update(midnight, per_minute=None, per_day=1)
    assert not rate.fires and rate.today == 1


def test_caps_may_change_with_every_record() -> None:
    """The registry raises or lowers a cap and the next call obeys it."""
    rate = CallRate()
    seen = []
    for now, cap in enumerate([1, 1, 5, 2, None]):
        rate.update(float(now), per_minute=cap, per_day=None)
        seen.append(rate.fires)

    assert seen == [False, True, False, True, False]


def test_a_cap_of_nothing_allows_nothing() -> None:
    """Zero is a cap; it fires on the first call, with a finite score."""
    rate = CallRate()

    assert rate.update(0.0, per_minute=None, per_day=0) == 1.0
    assert rate.fires


def test_great_counts_are_compared_as_counts() -> None:
    """One call above a cap of millions fires although the rounded score is still 1."""
    rate = CallRate()
    rate.update(0.0, None, None)
    rate.today = 10_000_000

    assert rate.update(1.0, per_minute=None, per_day=10_000_000) == 1.0
    assert rate.fires
