"""What the rule on failed calls promises."""

import pytest

from detectors import ErrorRate


def fired(outcomes: list[bool], seconds: float = 1.0, rate: ErrorRate | None = None) -> list[int]:
    """Indexes at which it fires, calls `seconds` apart."""
    rate = rate or ErrorRate()
    found = []
    for i, failed in enumerate(outcomes):
        rate.update(failed, now=i * seconds)
        if rate.fires:
            found.append(i)
    return found


def test_half_of_twenty_failures_fire() -> None:
    """Twenty calls in a minute with ten failures fire; nineteen never do."""

    assert fired([False, True] * 10) == [19]
    assert fired([False, True] * 9 + [False]) == []


def test_less_than_half_never_fires() -> None:
    """Nine failures among twenty stay below the rule, at whatever rate."""

    assert fired([True, False, False, True, False] * 40, seconds=0.01) == []


def test_slow_failures_leave_the_window() -> None:
    """The same failures spread over more than a minute are never twenty calls at once."""

    assert fired([False, True] * 30, seconds=4.0) == []


def test_five_failures_in_a_row_fire_at_any_pace() -> None:
    """A tool called twice an hour is broken after five failures in a row, not after four."""

    assert fired([False, True, True, True, True, False], seconds=1800.0) == []
    assert fired([True] * 6, seconds=1800.0) == [4, 5]


def test_a_key_that_mixes_tools_ignores_failures_in_a_row() -> None:
    """With `consecutive_max=None` only the share counts: here at the twentieth call."""

    assert fired([True] * 20, rate=ErrorRate(consecutive_max=None)) == [19]


def test_evidence_names_both_conditions() -> None:
    """The record shows the share with its volume, and the failures in a row."""
    rate = ErrorRate()
    for i, failed in enumerate([False, True, True]):
        rate.update(failed, now=float(i))
    evidence = rate.evidence()

    assert (evidence["calls"], evidence["failures"], evidence["consecutive"]) == (3, 2, 2)
    assert evidence["observed"] == rate.score == 0.666667
    assert (evidence["threshold"], evidence["calls_min"]) == (0.5, 20)


@pytest.mark.parametrize(
    "parameters", [{"calls_min": 0}, {"failure_ratio": 0.0}, {"failure_ratio": 1.1}]
)
def test_impossible_parameters_are_refused(parameters: dict[str, float]) -> None:
    """The developer learns of a rule that can't work when writing it."""
    with pytest.raises(ValueError, match="must"):
        ErrorRate(**parameters)  # type: ignore[arg-type]  # the point of the test
