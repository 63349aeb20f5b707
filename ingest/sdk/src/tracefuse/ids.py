"""Ids: UUIDv7 for events (RFC 9562), random hex for traces and spans (W3C trace context)."""

import os
import random

from tracefuse.clock import now_us

_random = random.Random(os.urandom(32))


def _reseed() -> None:
    """A forked process must not repeat its parent's ids."""
    _random.seed(os.urandom(32))


os.register_at_fork(after_in_child=_reseed)


def event_id() -> str:
    """UUIDv7: 48 bits of milliseconds, 74 random bits. Sorts by time; about 1 µs."""
    return event_id_at(now_us())


def event_id_at(at: int) -> str:
    """UUIDv7 of a moment, µs since the epoch: what was written down then gets its id later."""
    ms = at // 1000
    high = _random.getrandbits(26)  # 12 bits behind the version, 14 behind the variant
    low = _random.getrandbits(48)
    return (
        f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-{0x7000 | high >> 14:04x}"
        f"-{0x8000 | high & 0x3FFF:04x}-{low:012x}"
    )


def trace_id() -> str:
    """32 hex digits, never all zero (W3C trace context)."""
    return f"{_random.getrandbits(128) | 1:032x}"


def span_id() -> str:
    """16 hex digits, never all zero (W3C trace context)."""
    return f"{_random.getrandbits(64) | 1:016x}"


def boot_id() -> str:
    """One life of one producer: 16 hex digits."""
    return span_id()
