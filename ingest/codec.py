"""Bytes to records and back: the only place that judges whether a line is an event.

One bad line never costs its neighbours: `lines` splits, `event` judges one line at a time.
"""

import json
import re
from math import isinf
from typing import Any

import msgspec

from ingest.records import Fact, Owner, Registered, Step
from tracefuse import events
from tracefuse.errors import DecodeError
from tracefuse.events import KIND_OF, Event
from tracefuse.wire import LINES_MAX

# The names of what a record's lines are (header `kind`).
EVENTS, INBOX, TICK, OWNER = b"events", b"inbox", b"tick", b"owner"
SUMMARIES, SIGNALS, COMMANDS, INCIDENTS = b"summaries", b"signals", b"commands", b"incidents"
ORDERS = b"orders"  # people's words on wide scopes
ACKS, REGISTRATIONS, DEAD, VERDICTS = b"acks", b"registrations", b"dead", b"verdicts"
FILES = b"files"  # versions of agents' files that came into force
APPROVALS, BASELINES = b"approvals", b"baselines"

DEPTH_MAX = 32  # F10: deeper values are attacks or accidents
_INT_MAX = 2**63 - 1
# The SDK cuts content at 256 KiB; what is made of a line, a dead letter in base64 too, must fit a record.
LINE_BYTES_MAX = 512 * 1024
# What a trace remembers of an event: ids, names and hashes together, and the arguments of rules.
TEXT_CHARACTERS_MAX = 4096
ARGS_BYTES_MAX = 4096
# So many digits in a row may be more than 64 bits. Two calls tell; a regular expression takes 5 µs.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19
# Nineteen digits behind a point are a fraction, as of most costs.
_whole = re.compile(rb"(?<![0-9.])[0-9]{19}").search

encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Fact)
_any = msgspec.json.Decoder()
_hex = re.compile(r"[0-9a-f]+").fullmatch


def lines(value: bytes) -> list[bytes]:
    """Lines of an envelope, without the empty one at the end."""
    split = (value or b"").split(b"\n")  # a tombstone where none belongs has no value at all
    if split and not split[-1]:
        split.pop()
    return split


def envelope(encoded: list[bytes]) -> bytes:
    """One record's value of at most `LINES_MAX` lines."""
    assert 0 < len(encoded) <= LINES_MAX
    return b"\n".join(encoded)


def fact(line: bytes) -> Fact:
    """An inbox line. Raises `DecodeError`: dead-letter it, never retry."""
    try:
        found: Fact = _facts.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("malformed", str(error)) from error
    return found


def event(line: bytes) -> Event:
    """An event line. Raises `DecodeError`: dead-letter it, never retry.

    A line that is byte for byte what our own encoder writes of it can't hold a duplicate key or a
    foreign number, and few digits are no large number: only other lines pay for the strict reader.
    """
    if len(line) > LINE_BYTES_MAX:
        raise DecodeError("too_large", f"{len(line)} bytes")
    try:
        decoded = events.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _reason(line, error) from error
    except RecursionError as error:
        raise DecodeError("too_deep") from error
    if events.encode(decoded) != line or (_LONG in line.translate(_DIGITS) and _whole(line)):
        _strict(line)
    elif line.count(b"{") + line.count(b"[") > DEPTH_MAX:
        # Fingerprints have brackets too; only these three hold what an agent likes.
        _depth([decoded.attrs, decoded.decision_args, decoded.sketches])
    _check(decoded)
    if len(line) > TEXT_CHARACTERS_MAX:  # a shorter line holds no longer texts
        _bounded(decoded)
    return decoded


def _check(decoded: Event) -> None:
    if decoded.schema_version.partition(".")[0] != "1":
        raise DecodeError("unknown_schema", decoded.schema_version)
    kind = KIND_OF.get(decoded.name)
    if kind is None and not decoded.name.startswith("x."):
        raise DecodeError("unknown_name", decoded.name[:64])
    if kind is not None and kind != decoded.kind:
        raise DecodeError("wrong_kind", f"{decoded.name} is {kind}")
    if not _hex(decoded.trace_id + decoded.span_id):
        raise DecodeError("malformed_id")
    if "/" in decoded.tenant or "/" in decoded.agent_id:
        raise DecodeError("malformed_id", "a slash separates keys")
    if "\x00" in decoded.name or "\x00" in decoded.agent_id:
        raise DecodeError("malformed_id", "NUL")


def _bounded(e: Event) -> None:
    """Refuse what steps and runs could not carry on."""
    characters = (
        len(e.call_id) + len(e.parent_span_id) + len(e.environment) + len(e.bundle)
        + len(e.user_id) + len(e.session_id) + len(e.task_type) + len(e.tool) + len(e.model)
        + len(e.status) + len(e.error_type) + len(e.args_hash) + len(e.result_hash)
        + len(e.verdict_seen)
    )  # fmt: skip
    if characters > TEXT_CHARACTERS_MAX:
        raise DecodeError("too_large", "ids, names and hashes")
    if len(encode(e.decision_args)) > ARGS_BYTES_MAX:
        raise DecodeError("too_large", "decision_args")


def _reason(line: bytes, error: Exception) -> DecodeError:
    """Tell a future schema from plain damage: the first is kept whole, the second is a fault."""
    try:
        raw = _any.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return DecodeError("malformed", str(error)[:200])
    version = raw.get("schema_version", "1.0") if isinstance(raw, dict) else "1.0"
    if isinstance(version, str) and version.partition(".")[0] not in ("1", ""):
        return DecodeError("unknown_schema", version[:32])
    return DecodeError("malformed", str(error)[:200])


def _strict(line: bytes) -> None:
    """Refuse what two parsers could read differently: duplicate keys, NaN, huge integers, depth."""
    try:
        value = json.loads(
            line.decode(),  # of bytes it would let surrogates pass
            object_pairs_hook=_unique, parse_constant=_constant, parse_int=_int, parse_float=_float,
        )  # fmt: skip
        _depth(value)
    except (ValueError, UnicodeDecodeError) as error:
        raise DecodeError("malformed", str(error)[:200]) from error
    except RecursionError as error:
        raise DecodeError("too_deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DecodeError("duplicate_key")
    return found


def _constant(name: str) -> None:
    raise DecodeError("not_finite", name)


def _float(text: str) -> float:
    number = float(text)
    if isinf(number):  # some readers take it for infinity, others refuse it
        raise DecodeError("not_finite", text[:64])
    return number


def _int(digits: str) -> int:
    number = int(digits) if len(digits) < 24 else _INT_MAX + 1
    if abs(number) > _INT_MAX:
        raise DecodeError("integer_too_large")
    return number


def _depth(value: Any, left: int = DEPTH_MAX) -> None:
    if left < 0:
        raise DecodeError("too_deep")
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        _depth(inner, left - 1)


def owner(value: bytes) -> Owner:
    """An owner record. Raises `DecodeError`."""
    try:
        return msgspec.json.decode(value, type=Owner)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("malformed", str(error)) from error


__all__ = ["Registered", "Step", "encode", "envelope", "event", "fact", "lines", "owner"]
