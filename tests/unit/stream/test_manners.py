"""How a call is made: what join takes from an event, and what a hostile one can't do."""

from typing import Any

import pytest

from stream.join.manners import PLACES_MAX, manner
from tests.pipe import Told
from tracefuse.events import Fingerprint


def request(**more: Any) -> Any:
    return Told()("tool.request", tool="db.read", **more)


def told(klass: str, digest: str) -> Fingerprint:
    return Fingerprint(digest, klass, "to", 0, 9)


def test_form_and_places_are_32_bits_each() -> None:
    """Hosts and mail domains, each once; whole addresses and amounts are no places."""
    prints = [told("host", "0" * 15 + "2"), told("url", "3" * 16), told("domain", "0" * 15 + "4")]
    found = manner(request(sketches={"arguments": "f" * 16}, fingerprints=prints * 2))

    assert found is not None
    assert (found.form, found.places) == (0xFFFF_FFFF, [2, 4])


def test_what_a_call_is_about() -> None:
    """Ids, files, accounts and pages, four of them at most; whatever its author names comes before."""
    prints = [told("id", f"{n:016x}") for n in range(1, 9)] + [told("amount", "9" * 16)]
    found = manner(request(fingerprints=prints))
    named = manner(request(fingerprints=prints, sketches={"resource": "0" * 15 + "7"}))
    odd = manner(request(sketches={"resource": ["no", "hash"]}))

    assert found is not None and found.about == [1, 2, 3, 4]
    assert named is not None and named.about == [7]
    assert odd is None


@pytest.mark.parametrize("form", [None, 7, [], "no hex", {"a": 1}])
def test_a_form_that_is_none_counts_as_unknown(form: object) -> None:
    """Whatever an agent sends, join goes on."""
    assert manner(request(sketches={"arguments": form})) is None


def test_of_many_places_few_are_told() -> None:
    """A list of a hundred hosts costs no more than four."""
    found = manner(request(fingerprints=[told("host", f"{n:016x}") for n in range(1, 101)]))

    assert found is not None
    assert len(found.places) == PLACES_MAX
