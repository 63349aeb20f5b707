"""F10: what two parsers could read differently is refused, one line at a time, with its reason."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ingest import codec
from stream.dead_letters import RAW_BYTES_MAX
from tests.pipe import Pipe, Told, commands, registered
from tracefuse.errors import DecodeError
from tracefuse.events import encode as encode_event

VALID = encode_event(Told()("tool.request", tool="t", attrs={"a": 1}))


def with_attr(value: str) -> bytes:
    """A valid line but for one value, as it would stand on the wire."""
    return VALID.replace(b'"attrs":{"a":1}', f'"attrs":{{"a":{value}}}'.encode())


MALFORMED: dict[str, tuple[bytes, str]] = {
    "truncated": (VALID[:-10], "malformed"),
    "cut in a text": (VALID[: VALID.index(b"tool.request") + 3], "malformed"),
    "NaN": (with_attr("NaN"), "malformed"),
    "Infinity": (with_attr("-Infinity"), "malformed"),
    "a float beyond all": (with_attr("1e999"), "malformed"),
    "such a float in a field nobody knows": (VALID[:-1] + b',"new":1e999}', "not_finite"),
    "the same key twice": (VALID[:-1] + b',"agent_id":"victim"}', "duplicate_key"),
    "the same key in two spellings": (VALID[:-1] + b',"agent\\u005fid":"victim"}', "duplicate_key"),
    "the same key twice, deep": (with_attr('{"k":1,"k":2}'), "duplicate_key"),
    "33 deep": (with_attr("[" * 32 + "]" * 32), "too_deep"),
    "without end": (with_attr("[" * 100_000 + "]" * 100_000), "too_deep"),
    "opened and never closed": (b"[" * 100_000, "malformed"),
    "above 64 bits": (with_attr(str(2**64)), "integer_too_large"),
    "above 63 bits": (with_attr(str(2**63)), "integer_too_large"),
    "below": (with_attr(str(-(2**63) - 1)), "integer_too_large"),
    "with five thousand digits": (with_attr("9" * 5000), "malformed"),
    "above 64 bits in a field of ours": (
        VALID.replace(b'"seq":1', b'"seq":36893488147419103232'), "integer_too_large"
    ),
    "a list": (b"[" + VALID + b"]", "malformed"),
    "a text": (b'"event"', "malformed"),
    "null": (b"null", "malformed"),
    "nothing": (b"", "malformed"),
    "spaces": (b"   ", "malformed"),
    "two events": (VALID + VALID, "malformed"),
    "a comma too many": (VALID[:-1] + b",}", "malformed"),
    "single quotes": (VALID.replace(b'"', b"'"), "malformed"),
    "a comment": (VALID[:-1] + b"/* */}", "malformed"),
    "a leading zero": (with_attr("01"), "malformed"),
    "a hex number": (with_attr("0x1"), "malformed"),
    "half a megabyte and more": (with_attr('"' + "x" * codec.LINE_BYTES_MAX + '"'), "too_large"),
}  # fmt: skip

cases = pytest.mark.parametrize("name", MALFORMED)


@cases
def test_it_is_refused_with_its_reason(name: str) -> None:
    """By one error, whose reason can be counted."""
    line, reason = MALFORMED[name]
    with pytest.raises(DecodeError) as caught:
        codec.event(line)

    assert caught.value.reason == reason


@cases
def test_it_reaches_the_dead_letters_whole(name: str) -> None:
    """With its place and bytes; its neighbours in the same record count."""
    line, reason = MALFORMED[name]
    pipe, told = Pipe(), Told()
    request, result = told.call(1)
    pipe.send(request, line, result)
    (dead,) = pipe.dead()

    assert (dead.offset, dead.line, dead.reason) == (0, 1, reason)
    assert dead.raw == line[:RAW_BYTES_MAX]
    assert [step.phase for step in pipe.steps().values()] == ["complete"]


def lenient(line: bytes) -> Any:
    return json.loads(line)


@pytest.mark.parametrize("reader", [lenient, msgspec.json.decode])
def test_lenient_readers_take_some_of_it(reader: Callable[[bytes], Any]) -> None:
    """Control: these are no straw men. Readers that people use accept several of them."""
    taken = set()
    for name, (line, _) in MALFORMED.items():
        try:
            reader(line)
        except (ValueError, RecursionError):
            continue
        taken.add(name)

    assert {"the same key twice", "above 64 bits"} <= taken
    assert (reader is not lenient) or {"NaN", "Infinity", "a float beyond all"} <= taken


def test_the_duplicate_key_trick_gains_nothing() -> None:
    """A line that one reader takes for the victim's and another for the sender's is nobody's."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(), registered("victim"))
    for n in range(10):
        for event in told.call(n, status="error"):
            trick = encode_event(event)[:-1] + b',"agent_id":"victim"}'
            pipe.send(trick, told("thought"))

    assert len(pipe.dead()) == 20
    assert commands(pipe.out) == []


def test_what_is_within_the_limits_is_read() -> None:
    """Control of the other side: 31 levels, 63 bits, escapes, spaces and the smallest numbers pass."""
    good = [
        with_attr("[" * 29 + "1" + "]" * 29), with_attr(str(2**63 - 1)), with_attr(str(-(2**63) + 1)),
        with_attr("1e308"), with_attr("5e-324"), with_attr("-0.0"), with_attr('"\\u00e9\\n\\/"'),
        b" \t" + VALID.replace(b":", b" : ").replace(b'"tool"', b'"\\u0074ool"') + b"\r",
    ]  # fmt: skip

    for line in good:
        assert codec.event(line).name == "tool.request"
