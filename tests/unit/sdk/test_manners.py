"""The form of arguments: what it tells apart, and what it does not tell."""

from tracefuse.fingerprints import leaves
from tracefuse.manners import form


def test_a_form_is_names_and_kinds_alone() -> None:
    """Other values and longer lists are of one form; other names and other kinds are not."""
    one, other, named, numbered = (
        form(leaves(args))
        for args in (
            {"to": ["ann", "bob"], "amount": 2}, {"amount": 7.5, "to": ["eve"]},
            {"to": ["ann"], "sum": 2}, {"to": [1], "amount": 2},
        )
    )  # fmt: skip

    assert one == other
    assert len({one, named, numbered}) == 3
    assert "ann" not in one


def test_a_name_that_holds_a_number_is_no_place_in_a_list() -> None:
    """Only whole steps of a path are."""
    assert form([("line2.text", "x")]) == "line2.text:text"
    assert form([("2", "x")]) == "*:text"
