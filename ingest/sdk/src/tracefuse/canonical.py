"""Any argument or result in, one canonical JSON text out, and its keyed hash. Pure.

The emitter's background thread hashes what a call was given and what it returned, so that loops and
reconciliation compare values without ever seeing them. Two producers that describe the same value
must get the same bytes: `25.0` equals `25`, and the order of keys means nothing (RFC 8785).
"""

import datetime
import decimal
import enum
import hmac
import os
import uuid
from base64 import b64encode
from collections.abc import Mapping
from itertools import islice
from math import isfinite, isinf
from typing import Any

import msgspec

# F10's limit of the gateway: what is deeper is refused there, so nobody compares below it.
DEPTH_MAX = 32
# F08's cap of inline content. Counted in characters, plus NODE a value, so that a list of ten
# million zeros ends after 32,768 of them (about 10 ms), not after it was walked.
SIZE_MAX = 256 * 1024
NODE = 8
# Below this no value can reach SIZE_MAX in the slow path, so both paths agree.
_FAST_MAX = 64 * 1024
# The largest integer below which every integer is a double of its own.
_EXACT = 2**53

_sorted = msgspec.json.Encoder(order="sorted").encode
_as_is = msgspec.json.Encoder().encode
_PLAIN = frozenset({str, int, bool, type(None)})


class NotJSON(ValueError):
    """NaN or an infinity: RFC 8785 has no text for it.

    For the agent's author, through the emitter's counter; the event goes out without this hash.
    """


def canonical(value: object) -> bytes:
    """RFC 8785 text of a value, UTF-8.

    Parameters
    ----------
    value
        Anything. What JSON cannot say becomes a stable string or object: times and UUIDs their
        ISO text, bytes their base64, sets their sorted members, dataclasses, msgspec and pydantic
        models their fields, decimals their number, everything else the name of its type.

    Returns
    -------
    bytes
        At most 1.6 MB (256 KiB of characters, each six bytes when escaped). A value that is deeper
        than 32 or larger than 256 KiB is cut and marked: `{"$cut": length}` or `"$deep"`.

    Raises
    ------
    NotJSON
        For the agent's author: NaN or an infinity. Nothing else is ever raised.

    Notes
    -----
    About 1 µs for a flat dictionary of five arguments, 2 µs with a whole float, 7 µs where a model
    or a foreign key needs the slow path. A lone surrogate becomes U+FFFD. One deviation, on
    purpose: an integer above 2^53 keeps all its digits; rounding would make two orders one.

    Examples
    --------
    >>> canonical({"order": 991, "amount": 25.0})
    b'{"amount":25,"order":991}'
    >>> canonical({"order": 991, "amount": 25}) == canonical({"amount": 25.0, "order": 991})
    True
    """
    if 0 <= _plain(value, 0) <= _FAST_MAX:
        try:
            text = _sorted(value)
            return text if b".0" not in text else _sorted(_whole(value))
        except (ValueError, OverflowError, TypeError):
            pass  # a lone surrogate, or an integer above 64 bits: the slow path knows them
    return canonical_slow(value)


def canonical_slow(value: object) -> bytes:
    """The same text by the complete way: copy into a sorted tree, then encode."""
    try:
        return _as_is(_Walk().node(value, 0))
    except NotJSON:
        raise
    except Exception:  # an object of the agent misbehaved; its agent must not hear of it
        return b'"$unreadable"'


def keyed_hash(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 cut to 16 bytes, as 32 hex digits. About 1.5 µs for 60 bytes.

    >>> keyed_hash(b"tenant key", canonical({"amount": 25.0}))
    '0e73c067e1d5b8530aa3490c88e77a4e'
    """
    return hmac.digest(key, data, "sha256")[:16].hex()


def _plain(value: Any, depth: int) -> int:
    """Size of a value for which sorted msgspec text is RFC 8785 text, -1 for any other.

    That holds for exact dicts, lists, strings, 64-bit integers, booleans and None; for keys in
    ASCII, where all sort orders agree; and for floats without an exponent, once `_whole` has
    made integers of those without a fraction.
    """
    kind = type(value)
    if kind is str:
        return len(value) + NODE
    if kind in _PLAIN:
        return NODE
    if kind is float:
        return NODE if _short(value) else -1
    if depth == DEPTH_MAX or (kind is not dict and kind is not list):
        return -1
    if len(value) > _FAST_MAX // NODE:
        return -1
    size = NODE
    items = value
    if kind is dict:
        for name in value:
            if type(name) is not str or not name.isascii():
                return -1
            size += len(name)
        items = value.values()
    for item in items:
        if type(item) is str:
            size += len(item) + NODE
        elif type(item) in _PLAIN:
            size += NODE
        else:
            part = _plain(item, depth + 1)
            if part < 0:
                return -1
            size += part
        if size > _FAST_MAX:
            return -1
    return size


def _short(value: float) -> bool:
    # Between these bounds both write the shortest digits with a plain point.
    return 1e-3 <= abs(value) < 1e15 or value == 0


def _whole(value: Any) -> object:
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() else value
    if kind is dict:
        return {k: v if type(v) is str else _whole(v) for k, v in value.items()}
    return [_whole(v) for v in value] if kind is list else value


def number(value: float) -> str:
    """ECMAScript's text of a finite double: Python's shortest digits, placed by its rules.

    >>> [number(x) for x in (25.0, -0.0, 1e21, 0.000001, 1e-7, 4.35)]
    ['25', '0', '1e+21', '0.000001', '1e-7', '4.35']
    """
    if not isfinite(value):
        raise NotJSON("JSON has no text for NaN and infinity")
    if value == 0:
        return "0"
    text = repr(value)
    if "e" not in text:  # between 1e-4 and 1e16 both write the same digits
        return text.removesuffix(".0")
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + (len(whole) if whole != "0" else len(digits) - len(fraction))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{digits.rjust(len(digits) - point, '0')}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def clean(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD; halves that form a pair are joined."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Walk:
    """Copies a value into exact JSON types, keys sorted, within the limits."""

    def __init__(self) -> None:
        self.left = SIZE_MAX

    def node(self, value: object, depth: int) -> object:
        self.left -= NODE
        kind = type(value)
        if kind is str:
            return self.text(value)  # type: ignore[arg-type]
        if kind is float and _short(value):  # type: ignore[arg-type]
            return _whole(value)
        if isinstance(value, enum.Enum):
            value = value.value
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self.text(str(value) if type(value) is not str else value)
        if isinstance(value, int):
            return self.integer(int(value))
        if isinstance(value, float):
            return msgspec.Raw(number(float(value)))
        if depth >= DEPTH_MAX:
            return "$deep"
        if isinstance(value, (list, tuple)):
            return self.sequence(value, depth)
        if isinstance(value, (dict, Mapping)):  # dict first: asking an abstract class is slow
            return self.mapping(value, depth)
        if isinstance(value, (set, frozenset)):
            return self.members(value, depth)
        return self.other(value, depth)

    def text(self, text: str) -> object:
        if len(text) > max(self.left, 0):
            cut = {"$cut": len(text), "head": clean(text[: max(self.left, 0)])}
            self.left = 0
            return cut
        self.left -= len(text)
        return clean(text)

    def integer(self, value: int) -> object:
        if -_EXACT <= value <= _EXACT:
            return value
        if value.bit_length() > 8 * 1024:  # str() of more would be slow, and Python refuses it
            return {"$cut": value.bit_length()}
        self.left -= value.bit_length() // 3
        return msgspec.Raw(str(value))

    def mapping(self, value: Mapping[Any, Any], depth: int) -> object:
        # One call copies the items, so that an agent that goes on writing cannot break the walk.
        items = list(value.items()) if len(value) <= SIZE_MAX // NODE else None
        if items is None or self.left <= 0:
            return {"$cut": len(value)}
        pairs = sorted(
            ((self.key(name), item) for name, item in items), key=lambda pair: _utf16(pair[0])
        )
        return {name: self.node(item, depth + 1) for name, item in pairs}

    def key(self, name: object) -> str:
        if type(name) is not str:
            plain = self.node(name, DEPTH_MAX)
            name = plain if isinstance(plain, str) else _as_is(plain).decode()
        if len(name) > max(self.left, 0):
            name = f"{name[: max(self.left, 0)]}$cut:{len(name)}"
            self.left = 0
        self.left -= len(name)
        return clean(name)

    def sequence(self, value: Any, depth: int) -> object:
        out: list[object] = []
        for item in islice(value, SIZE_MAX // NODE):
            if self.left <= 0:
                break
            out.append(self.node(item, depth + 1))
        if len(out) < len(value):
            out.append({"$cut": len(value)})
        return out

    def members(self, value: Any, depth: int) -> object:
        if len(value) > SIZE_MAX // NODE:
            return {"$cut": len(value)}  # which members are the first depends on the process
        parts = sorted(_as_is(self.node(item, depth + 1)) for item in list(value))
        return [msgspec.Raw(part) for part in parts]

    def other(self, value: object, depth: int) -> object:
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return msgspec.Raw(number(value.total_seconds()))
        if isinstance(value, uuid.UUID):
            return str(value)
        if isinstance(value, decimal.Decimal):
            return _decimal(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            data = bytes(memoryview(value).cast("B")[: max(self.left, 0)])
            return self.text(b64encode(data).decode())
        if isinstance(value, os.PathLike):
            return self.text(str(value))
        fields = _fields(value)
        if fields is not None:
            return self.mapping(fields, depth)
        kind = type(value)
        return f"<{kind.__module__}.{kind.__qualname__}>"


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _decimal(value: decimal.Decimal) -> object:
    if not value.is_finite():
        raise NotJSON("JSON has no text for NaN and infinity")
    near = float(value)
    if not isinf(near) and decimal.Decimal(repr(near)) == value:
        return msgspec.Raw(number(near))  # Decimal("25.00") is the 25 that a gateway sees
    return str(value)


def _fields(value: object) -> dict[str, object] | None:
    """Fields of a dataclass, a msgspec struct or a pydantic model; None for anything else."""
    kind = type(value)
    for listing in ("__dataclass_fields__", "__struct_fields__", "model_fields"):
        names = getattr(kind, listing, None)
        if isinstance(names, (dict, tuple)):
            return {name: getattr(value, name, None) for name in names}
    return None
