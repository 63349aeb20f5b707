"""Names of texts and arguments: one hash however they are written, none where there is none."""

import pytest

from tracefuse.fingerprints import fingerprints
from tracefuse.names import NAMES_MAX, called, names
from tracefuse.orders import COMMANDS

KEY = b"key"


def hashes(text: str) -> set[str]:
    return {one.hash for one in names(KEY, text, skip=COMMANDS)}


def name(text: str) -> str:
    (one,) = called(KEY, [("to", text)])
    return one.hash


@pytest.mark.parametrize(
    "text",
    [
        "Book the Bank of Ann today",
        "a room in the\n  Bank of Ann, please",
        "called 'bank of ann'",
        'called "BANK OF ANN".',
        "the BANK of Ann.",
        "Bank-of-Ann it is",
    ],
)
def test_one_name_however_it_is_written(text: str) -> None:
    """Case, line ends, quotes and hyphens do not matter."""
    assert name("Bank of Ann") in hashes(text)


@pytest.mark.parametrize(
    "value", ["", "ok", "12345678", "2024-05-15", "small", "x" * 65, "A " * 20]
)
def test_what_is_no_name(value: str) -> None:
    """Short words, numbers, words in lower case, sentences."""
    assert called(KEY, [("a", value)]) == []


def test_a_name_is_hashed_like_nothing_else() -> None:
    """A name never counts as the id or path of the same letters."""
    (one,) = called(KEY, [("a", "Ab12345")])
    found, _ = fingerprints(KEY, [("a", "Ab12345")])

    assert [other.klass for other in found] == ["id"]
    assert one.hash != found[0].hash


def test_they_are_bounded() -> None:
    """However many a text holds."""
    text = ". ".join(f"the Name{n} of It" for n in range(1000))

    assert len(names(KEY, text)) == NAMES_MAX
    assert len(called(KEY, [("a", f"Name {n}x") for n in range(1000)])) == NAMES_MAX
    assert names(KEY, "A" * 100_000) == []
