"""Garbage in gives `DecodeError` and nothing else; what is accepted means the same to every reader."""

import json
from math import isfinite
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from ingest import codec
from tests.pipe import Told
from tracefuse import events
from tracefuse.errors import DecodeError

VALID = events.encode(Told()("tool.request", tool="t", attrs={"a": {"b": [1, 2.5, "x"]}}))

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
fields = st.dictionaries(
    st.sampled_from(sorted(events.Event.__struct_fields__)) | st.text(max_size=10),
    values,
    max_size=6,
)


def read(line: bytes) -> events.Event | None:
    """The event, None where it is refused; any other exception is the failure looked for."""
    try:
        return codec.event(line)
    except DecodeError:
        return None


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_politely(line: bytes) -> None:
    """No bytes make anything but an event or a `DecodeError`, as event, fact or owner."""
    assert read(line) is None
    for reader in (codec.fact, codec.owner):
        try:
            reader(line)
        except DecodeError:
            continue
        raise AssertionError("random bytes are no record")


@given(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=4), st.booleans())
@example(VALID.index(b'"x"'), b'"\xed\xa0\x80"', True)
def test_a_damaged_line_is_an_event_or_refused(at: int, damage: bytes, over: bool) -> None:
    """Bytes put into or over a valid line; what is still read is what Python's own reader reads."""
    line = VALID[:at] + damage + VALID[at + (len(damage) if over else 0) :]
    event = read(line)

    assert event is None or agrees(event, line)


@given(fields)
def test_any_object_is_an_event_or_refused(more: dict[str, Any]) -> None:
    """Any JSON in any field, known or not."""
    line = json.dumps({**json.loads(VALID), **more}, allow_nan=False).encode()
    event = read(line)

    assert event is None or agrees(event, line)


@given(st.dictionaries(st.text(max_size=8), values, max_size=5))
def test_attributes_come_back_as_they_were(attrs: dict[str, Any]) -> None:
    """What is accepted is written again, and read again, as the same value."""
    line = json.dumps({**json.loads(VALID), "attrs": attrs}).encode()
    event = codec.event(line)

    assert event.attrs == attrs
    assert codec.event(events.encode(event)) == event


@given(
    st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b and b), min_size=1, max_size=50)
)
def test_envelopes_come_back_as_they_were(lines: list[bytes]) -> None:
    """Whatever bytes a line has, it is that line again."""
    assert codec.lines(codec.envelope(lines)) == lines


def agrees(event: events.Event, line: bytes) -> bool:
    """Whether Python's json reads the line, and the event written anew, as the event says."""
    theirs = json.loads(line, object_pairs_hook=_no_twins)
    ours = json.loads(events.encode(event), object_pairs_hook=_no_twins)
    known = {k: v for k, v in theirs.items() if k in events.Event.__struct_fields__}
    names, values = events.Event.__struct_fields__, events.Event.__struct_defaults__
    defaults = dict(zip(names[-len(values) :], values, strict=True))
    rest = {k: v for k, v in known.items() if k not in ours}
    same = all(_same(ours[k], known[k]) for k in ours)
    left_out = all(_is_default(defaults.get(k), v) for k, v in rest.items())
    return same and left_out and _finite(theirs)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _is_default(default: Any, value: Any) -> bool:
    # msgspec leaves out what equals a default; of containers it gives the factory.
    return bool(value == default) or value in ([], {}, "", 0, None, False)


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or isfinite(value)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "two parsers may read two values"
    return found
