"""What the canonical text and its hash promise."""

import dataclasses
import datetime
import decimal
import enum
import json
import struct
import time
import uuid
from pathlib import PurePosixPath

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracefuse import canonical as module
from tracefuse.canonical import DEPTH_MAX, NotJSON, canonical, canonical_slow, keyed_hash, number

floats = st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e-5, 1e17)
floats |= st.integers(-(10**17), 10**17).map(float)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | floats
    | st.text(max_size=20)
    | st.text(st.characters(), max_size=5)
)
keys = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    ["a", "b", "ab", "\ue000", "\U0001f600", "é", ""]
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5)
)


def reference(value: object) -> str:
    """RFC 8785 written down a second time, as short as it can be; exact above 2^53."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{reference(n)}:{reference(value[n])}" for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(reference, value)) + "]"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.dumps(value, ensure_ascii=False)


@given(values)
@settings(max_examples=500, deadline=None)
def test_fast_and_slow_path_agree_with_the_reference(value: object) -> None:
    """Whatever the value, both paths write the same bytes, and these are RFC 8785."""
    expected = reference(value).encode()

    assert canonical_slow(value) == expected
    assert canonical(value) == expected


def test_the_fast_path_is_taken_and_its_check_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain arguments take the fast path; without its check NaN would be written as null."""
    monkeypatch.setattr(module, "canonical_slow", lambda value: b"slow")
    fast = canonical({"amount": 25.0, "v": "1.0"}), canonical({"a": [1, "x", {"b": 2.5}]})
    slow = canonical({"a": 1e-7}), canonical({"é": None}), canonical(float("nan"))
    monkeypatch.setattr(module, "_plain", lambda value, depth: 0)

    assert fast == (b'{"amount":25,"v":"1.0"}', b'{"a":[1,"x",{"b":2.5}]}')
    assert slow == (b"slow", b"slow", b"slow")
    assert canonical(float("nan")) == b"null"


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xC340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
        (0x44B52D02C7E14AF6, "1e+23"),
        (0x444B1AE4D6E2EF4E, "999999999999999700000"),
        (0x444B1AE4D6E2EF4F, "999999999999999900000"),
        (0x444B1AE4D6E2EF50, "1e+21"),
        (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
        (0x3EB0C6F7A0B5ED8D, "0.000001"),
        (0x41B3DE4355555553, "333333333.3333332"),
        (0xBECBF647612F3696, "-0.0000033333333333333333"),
        (0x43143FF3C1CB0959, "1424953923781206.2"),
    ],
)
def test_numbers_are_those_of_the_rfc(bits: int, text: str) -> None:
    """The samples of RFC 8785 appendix B, from their bits."""
    value = struct.unpack(">d", bits.to_bytes(8, "big"))[0]

    assert number(value) == text
    assert canonical(value) == text.encode()


@given(floats)
def test_numbers_come_back(value: float) -> None:
    """No digit is lost: the text parses to the same double."""
    assert float(number(value)) == value


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_not_a_number_is_refused(bad: str) -> None:
    """NaN and infinities raise, at any depth, as floats and as decimals."""
    nan, exact = float(bad), decimal.Decimal(bad)
    for value in (nan, [{"x": nan}], exact, {"n": None, "x": nan}):
        with pytest.raises(NotJSON):
            canonical(value)

    assert issubclass(NotJSON, ValueError)


def test_surrogates_are_replaced_alike_everywhere() -> None:
    """A lone surrogate becomes U+FFFD in values and keys, a split pair is joined, NUL stays."""
    assert canonical("a\ud800b") == '"a\ufffdb"'.encode()
    assert canonical({"\udfff": "\ud83d\ude00"}) == '{"\ufffd":"\U0001f600"}'.encode()
    assert canonical("\x00") == b'"\\u0000"'


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    y: object


class Row(msgspec.Struct):
    b: int
    a: str


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("must not be asked")


def test_what_json_cannot_say_is_stable() -> None:
    """Objects become texts that hold no address and do not depend on the order of sets."""
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    odd = {"a": Odd(), "b": print, "c": Odd}

    assert canonical(moment) == b'"2026-01-02T03:04:05+00:00"'
    assert canonical(uuid.UUID(int=5)) == b'"00000000-0000-0000-0000-000000000005"'
    assert canonical(decimal.Decimal("25.00")) == canonical(25)
    assert canonical(decimal.Decimal("0.10000000000000000000001")) == b'"0.10000000000000000000001"'
    assert canonical(b"\xff\x00") == canonical(bytearray(b"\xff\x00")) == b'"/wA="'
    assert canonical({"b", "a", "c"}) == b'["a","b","c"]'
    assert canonical(Colour.RED) == b'"red"'
    assert canonical(Point(1.0, Row(2, "z"))) == b'{"x":1,"y":{"a":"z","b":2}}'
    assert canonical((1, 2.0)) == b"[1,2]"
    assert canonical({1: "a", None: "b", 2.0: "c"}) == b'{"1":"a","2":"c","null":"b"}'
    assert canonical(PurePosixPath("/a/b")) == b'"/a/b"'
    assert canonical(odd) == canonical({"c": Odd, "b": print, "a": Odd()})
    assert b"0x" not in canonical(odd)


class Broken(dict[str, int]):
    def items(self) -> object:  # type: ignore[override]
        raise RuntimeError("broken")


def test_nothing_but_not_json_is_raised() -> None:
    """An object that breaks while it is read, or refers to itself, gives a marker."""
    loop: list[object] = []
    loop.append(loop)

    assert canonical(Broken(a=1)) == b'"$unreadable"'
    assert canonical(loop) == b"[" * DEPTH_MAX + b'"$deep"' + b"]" * DEPTH_MAX


def test_depth_is_bounded() -> None:
    """Nesting beyond 32 is cut, without recursion growing with the input."""
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    other: object = {"a": 1}
    for _ in range(DEPTH_MAX):
        other = {"a": other}

    assert canonical(deep).count(b"[") == DEPTH_MAX
    assert b"$deep" in canonical(other)
    while isinstance(deep, list):  # taken apart by hand: freeing it recurses in C
        deep = deep.pop()


@pytest.mark.parametrize(
    "large",
    [
        "x" * 3_000_000,
        [0] * 3_000_000,
        {str(i): i for i in range(300_000)},
        ["y" * 1000] * 3000,
        b"z" * 3_000_000,
        {"k" * 3_000_000: 1},
        set(range(300_000)),
        10**500_000,
        [{"a": 1.5, "b": ["q"] * 10}] * 200_000,
    ],
    ids=["text", "list", "dict", "texts", "bytes", "key", "set", "integer", "rows"],
)
def test_size_is_bounded(large: object) -> None:
    """A value of any size gives a short text in short time, and its size stays part of the text."""
    start = time.thread_time()
    text = canonical({"x": large})
    spent = time.thread_time() - start

    assert len(text) < 1_000_000
    assert b"$cut" in text
    assert spent < 0.5


def test_what_was_cut_still_differs_by_its_head() -> None:
    """Two large values that differ early, or in length, do not look the same."""
    a, b = "a" * 400_000, "b" + "a" * 399_999

    assert len({canonical(a), canonical(b), canonical(a + "a")}) == 3


def test_keyed_hash_is_hmac_sha256() -> None:
    """RFC 4231 test case 2, first 16 bytes; another key gives another hash."""
    data = b"what do ya want for nothing?"

    assert keyed_hash(b"Jefe", data) == "5bdcc146bf60754e6a042426089575c7"
    assert keyed_hash(b"other", data) != keyed_hash(b"Jefe", data)
