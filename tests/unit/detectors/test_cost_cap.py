"""What the caps on money and tokens promise."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import CostCap

amounts = st.lists(st.floats(0, 10), max_size=40)


def marks(cap: CostCap, amounts: list[float], limit: float | None = 1.0) -> list[str]:
    """What each amount brought about: a warning, the end, or nothing."""
    found = []
    for amount in amounts:
        cap.update(amount, now=0.0, cap=limit)
        found.append("fires" if cap.fires else "warns" if cap.warns else "")
    return found


def test_each_mark_is_passed_once() -> None:
    """80 % warns once, 100 % fires once, whatever is spent after that."""
    cap = CostCap()

    assert marks(cap, [0.7, 0.1, 0.1, 0.1, 0.5]) == ["", "warns", "", "fires", ""]
    assert cap.level == 2 and cap.score == 1.5


def test_one_great_amount_only_fires() -> None:
    """Who jumps over both marks is stopped, not warned."""

    assert marks(CostCap(), [5.0]) == ["fires"]


@given(amounts)
def test_sums_do_not_depend_on_order(spent: list[float]) -> None:
    """Dollars are summed in whole millionths: any order gives the same score, to the digit."""
    forward, backward = CostCap(), CostCap()
    marks(forward, spent, limit=7.0)
    marks(backward, spent[::-1], limit=7.0)

    assert forward.score == backward.score
    assert forward.spent == backward.spent == pytest.approx(math.fsum(spent), abs=1e-4)


def test_a_day_ends_at_midnight_utc() -> None:
    """A daily sum starts again with the day of record time; that of a run goes on."""
    daily, run, midnight = CostCap(daily=True), CostCap(), 20_000 * 86_400.0
    seen = []
    for now in (midnight - 1.0, midnight, midnight + 1.0):
        daily.update(0.6, now, cap=1.0)
        run.update(0.6, now, cap=1.0)
        seen.append((daily.spent, daily.fires, run.fires))

    assert seen == [(0.6, False, False), (0.6, False, True), (1.2, True, False)]


def test_a_raised_cap_arms_the_marks_again() -> None:
    """After the registry doubled the cap the next 80 % warns again."""
    cap = CostCap()
    marks(cap, [0.9])

    assert marks(cap, [0.1, 0.7], limit=2.0) == ["", "warns"]


@pytest.mark.parametrize("amount", [-0.5, math.nan, math.inf, 1e300])
def test_an_absurd_amount_counts_as_nothing(amount: float) -> None:
    """An agent can neither lower its sum nor break the worker by what it claims."""
    cap = CostCap()
    marks(cap, [0.7, amount])

    assert (cap.spent, cap.refused) == (0.7, 1)


def test_nothing_spent_is_below_a_cap_of_nothing() -> None:
    """A free call under a cap of 0 runs; the first millionth fires, with a finite score."""
    cap = CostCap()

    assert marks(cap, [0.0, 0.000001, 0.1], limit=0.0) == ["", "fires", ""]
    assert cap.score == 1000.0


def test_without_a_cap_it_only_sums() -> None:
    """No cap is no alarm and no score; the sum is there when a cap comes."""
    cap = CostCap()

    assert marks(cap, [5.0], limit=None) == [""]
    assert cap.score == 0.0
    assert marks(cap, [0.0], limit=5.0) == ["fires"]


def test_tokens_are_whole() -> None:
    """The same rule counts tokens; other units are refused."""
    cap = CostCap("tokens")

    assert marks(cap, [700, 100, 200], limit=1000) == ["", "warns", "fires"]
    assert cap.spent == 1000
    with pytest.raises(ValueError, match="unit"):
        CostCap("euros")
