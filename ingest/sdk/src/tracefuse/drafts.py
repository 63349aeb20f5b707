"""First stage of an event: what the agent's own thread writes down before it goes on.

    agent's call ──snapshot──► Draft ──queue──► background thread: hashes, fingerprints, line

A draft holds only what can no longer change: later writes of the agent to its own objects must not
alter what it is said to have done. Everything that costs more waits for the background thread.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from tracefuse.canonical import canonical

# F08's cap of inline values, in characters or bytes.
INLINE_MAX = 256 * 1024
# A walk that estimates a size looks at so many values at most (about 0.1 µs each).
_NODES_MAX = INLINE_MAX // 8
# So many values of a list or mapping are looked at before the rest is taken to be like them.
_SAMPLE = 16
# A flat dictionary with more entries is cheaper to encode than to check entry by entry.
_FLAT_MAX = 32

# No true amount; what is larger, or no number at all, counts as not told.
AMOUNT_MAX = 1e12

_encode = msgspec.json.Encoder(decimal_format="number").encode
_SCALARS = frozenset({int, float, bool, type(None)})


class Run:
    """What all events of one trace share. `partition` is filled in by the background thread."""

    __slots__ = (
        "bundle",
        "expected",
        "lost_before",
        "partition",
        "probe",
        "root",
        "session_id",
        "shadow_of",
        "started",
        "task_type",
        "trace_id",
        "user_id",
    )

    def __init__(
        self,
        trace_id: str,
        root: str = "0" * 16,
        task_type: str = "",
        user_id: str = "",
        session_id: str = "",
        bundle: str = "",
        shadow_of: str = "",
        probe: str = "",
        expected: dict[str, Any] | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.bundle = bundle  # empty: that of the process
        self.shadow_of = shadow_of  # trace id of the run that it repeats as a shadow
        self.probe = probe  # set and id of the probe that it is; empty: users' work
        self.expected = expected  # of a probe: what it should do
        self.root = root  # span id of the whole run
        self.task_type = task_type
        self.user_id = user_id
        self.session_id = session_id
        self.partition = -1
        self.started = 0  # µs; 0 until run.start
        self.lost_before = 0  # events that this process had dropped by then


class Encoded(msgspec.Struct, gc=False, frozen=True):
    """A value already written as JSON. `size` is its estimated whole size where it was cut."""

    text: bytes
    size: int = 0
    canonical: bool = False


class Draft(msgspec.Struct, gc=False):
    """One event before the background thread has worked on it. Times in µs UTC.

    `body` is what the event is about (arguments, a result, a thought); `extra` are further fields of
    the event, under their own names.
    """

    name: str
    run: Run
    span_id: str
    emitted_at: int
    parent: str = ""
    call_id: str = ""
    tool: str = ""
    body: object = None
    extra: dict[str, Any] | None = None
    urgent: bool = False
    weight: int = 0
    held: bool = False  # its call waits: it leaves at once, always


def amount(value: object) -> float | None:
    """A number that an event can carry; None for what is none. Never raises.

    >>> amount(3), amount("0.5"), amount(None), amount(float("nan"))
    (3.0, 0.5, None, None)
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:  # a foreign number may fail in any way
        return None
    return number if abs(number) <= AMOUNT_MAX else None


def snapshot(value: object) -> object:
    """The value as it is now: itself where it cannot change, a flat copy, or its JSON.

    Costs 0.1 µs for a text, 0.3 µs for flat arguments, about 1 µs + 1 ns a byte for nested ones, and
    at most about 20 ms for what is larger than 256 KiB or no JSON: `canonical` looks at a bounded
    part of it.

    >>> snapshot({"order": 991, "amount": 25.0})
    {'order': 991, 'amount': 25.0}
    >>> snapshot({"lines": [1, 2]})
    Encoded(text=b'{"lines":[1,2]}', size=0, canonical=False)
    """
    kind = type(value)
    if kind in _SCALARS or (kind is str and len(value) <= INLINE_MAX):  # type: ignore[arg-type]
        return value
    if kind is dict and len(value) <= _FLAT_MAX and _flat(value):  # type: ignore[arg-type]
        return value.copy()  # type: ignore[attr-defined]
    try:
        size = estimate(value)
        if 0 <= size <= INLINE_MAX:
            return Encoded(_encode(value))
    except Exception:
        size = -1  # changed by another thread meanwhile, or no JSON: the careful way
    try:
        text = canonical(value)
    except ValueError:
        return Encoded(b"", 0, canonical=True)  # NaN or an infinity: there is no hash of it
    if size < 0 and b'{"$cut":' in text:
        size = max(len(text), INLINE_MAX + 1)  # of unknown size, but not all of it is here
    return Encoded(text, size if size > INLINE_MAX else 0, canonical=True)


def weight_of(body: object) -> int:
    """Bytes that a body keeps in memory, roughly; 0 where they do not matter."""
    if type(body) is Encoded:
        return len(body.text)
    return len(body) if type(body) is str else 0


def _flat(value: Mapping[object, object]) -> bool:
    room = INLINE_MAX
    for item in value.values():
        if type(item) is str:
            room -= len(item)
        elif type(item) is float:
            if item - item != 0.0:  # NaN and the infinities have no JSON
                return False
        elif type(item) not in _SCALARS:
            return False
    return room > 0


def estimate(value: object) -> int:
    """Bytes of a value's JSON, roughly, without writing it; -1 for what only `canonical` knows.

    Looks at 32,768 values at most and takes the rest of a list to be like its beginning.

    >>> estimate({"a": "x" * 1000, "b": [1, 2, 3]})
    1058
    >>> estimate([0] * 10_000_000) > 10_000_000
    True
    """
    left = [_NODES_MAX]
    return _estimate(value, left, 0)


def _estimate(value: object, left: list[int], depth: int) -> int:
    kind = type(value)
    if kind is str:
        return len(value) + 8  # type: ignore[arg-type]
    if kind is float:
        return 8 if value - value == 0.0 else -1  # type: ignore[operator]
    if kind in _SCALARS:
        return 8
    if kind is bytes or kind is bytearray:
        return len(value) * 4 // 3 + 8  # type: ignore[arg-type]
    if depth > 30 or (kind is not dict and kind is not list and kind is not tuple):
        return -1
    size, count = 8, len(value)  # type: ignore[arg-type]
    items: Any = value
    if kind is dict:
        names = _first(value, left[0])
        size += sum(len(name) + 4 if type(name) is str else 24 for name in names)
        size = size * count // max(len(names), 1)
        items = value.values()  # type: ignore[attr-defined]
    inner = 0
    for seen, item in enumerate(items):
        left[0] -= 1
        if left[0] < 0 or (size + inner > INLINE_MAX and seen >= _SAMPLE):
            return size + inner + (count - seen) * (inner // seen if seen else 8)
        part = _estimate(item, left, depth + 1)
        if part < 0:
            return -1
        inner += part
    return size + inner


def _first(value: Any, count: int) -> list[object]:
    names: list[object] = []
    for name in value:
        names.append(name)
        if len(names) >= count:
            break
    return names
