"""What a value's origin weighs, by its class and by what the tool does."""

import pytest

from detectors import TaintedArgument


@pytest.mark.parametrize(
    ("values", "orders", "reads", "fires", "warns"),
    [
        ([], False, False, False, False),
        ([("ordered", "email")], True, False, True, False),
        ([("ordered", "path")], True, False, True, False),
        ([("ordered", "amount")], True, False, False, False),
        ([("listed", "account")], False, False, False, True),
        ([("listed", "account")], True, False, False, True),
        ([("listed", "id")], True, False, False, False),
        ([("unknown", "email")], True, False, True, False),
        ([("unknown", "email")], False, False, False, False),
        ([("ordered", "path")], True, True, False, False),
        ([("ordered", "email")], True, True, False, True),
        ([("ordered", "url")], True, True, True, False),
        ([("ordered", "some class of tomorrow")], True, False, False, False),
    ],
)
def test_it_fires_on_what_was_demanded(
    values: list[tuple[str, str]], orders: bool, reads: bool, fires: bool, warns: bool
) -> None:
    """An address that an order named, or that nobody did after one; what was merely listed warns."""
    taint = TaintedArgument()
    taint.update(values, orders, reads)

    assert (taint.fires, taint.warns) == (fires, warns)


def test_the_worst_value_counts_and_is_named() -> None:
    """Harmless values beside it neither hide nor raise it."""
    taint = TaintedArgument()
    alone = taint.update([("ordered", "account")], True)
    among = taint.update([("listed", "email"), ("ordered", "account"), ("unknown", "id")], True)

    assert among == alone
    assert (taint.origin, taint.klass) == ("ordered", "account")


def test_use_does_not_make_a_value_trusted() -> None:
    """It learns nothing: the hundredth call scores like the first."""
    taint = TaintedArgument()
    scores = {taint.update([("ordered", "url")], True) for _ in range(100)}

    assert scores == {0.9}
