"""The only place of the SDK that reads a clock. Everything else takes time as an argument."""

import time


def now_us() -> int:
    """Wall clock, µs since the epoch, UTC: a claim of this machine, never trusted by the pipeline."""
    return time.time_ns() // 1000


def monotonic() -> float:
    """Seconds that never run backwards: for pauses, deadlines and rates inside one process."""
    return time.monotonic()
