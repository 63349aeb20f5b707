"""Guards: what has not the form is an event that says so, and never reaches the user as it is."""

from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest

from tests.sdk import sdk
from tracefuse.errors import Malformed
from tracefuse.grants import Grants


class Answer(msgspec.Struct):
    refund: bool
    amount: float


@dataclass
class Order:
    number: int


class Named(TypedDict):
    name: str


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ('{"refund": true, "amount": 5}', Answer), ({"refund": True, "amount": 5.0}, Answer),
        (Order(3), Order), ({"name": "ann"}, Named), ("text", str), ([1, 2], list[int]),
    ],
)  # fmt: skip
def test_what_has_the_form_passes_as_it_is(value: object, schema: Any) -> None:
    """The very object comes back, and its event says nothing of an error."""
    with sdk() as sent, sent.fuse.trace() as trace:
        assert trace.input(value, schema=schema) is value
        assert trace.output(value, schema=schema) is value

    assert [event.status for event in (sent.one("input.user"), sent.one("output"))] == ["", ""]


MALFORMED = [
    "I refund 5 euros.", '{"refund": "perhaps", "amount": 5}', '{"refund": true}', {"refund": True},
    "", None, "[" * 5000, "\ud800", b"\xff", object(), 3,
]  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_output_becomes_the_fallback(value: object) -> None:
    """In the form that was asked for; both are events, the first with its error."""
    with sdk() as sent:
        sent.fuse.held.grants = Grants("a", fallbacks={"output": '{"refund":false,"amount":0}'})
        with sent.fuse.trace() as trace:
            assert trace.output(value, schema=Answer) == Answer(False, 0)

    first, second = sent.events("output")
    assert (first.status, first.error_type) == ("error", "Malformed")
    assert (second.status, second.attrs) == ("", {"fallback": True})


@pytest.mark.parametrize("value", MALFORMED, ids=range(len(MALFORMED)))
def test_without_a_fallback_it_is_refused(value: object) -> None:
    """Neither a malformed output nor a malformed input goes on."""
    with sdk() as sent, sent.fuse.trace() as trace:
        with pytest.raises(Malformed):
            trace.output(value, schema=Answer)
        with pytest.raises(Malformed):
            trace.input(value, schema=Answer)

    assert [event.error_type for event in sent.events("output")] == ["Malformed"]
    assert sent.one("input.user").error_type == "Malformed"


def test_a_fallback_in_words_is_said_in_words() -> None:
    """What is declared as a sentence reaches the user as one."""
    with sdk() as sent:
        sent.fuse.held.grants = Grants("a", fallbacks={"output": "Please call us."})
        with sent.fuse.trace() as trace:
            assert trace.output("nonsense", schema=Answer) == "Please call us."


def test_without_a_form_everything_passes() -> None:
    """The control: nothing is checked that nobody asked for."""
    with sdk() as sent, sent.fuse.trace() as trace:
        assert trace.output("nonsense") == "nonsense"

    assert sent.one("output").status == ""
