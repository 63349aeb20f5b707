"""Correlate's memory of traces with alarms: which candidate an incident names. Pure."""

from collections.abc import Iterable
from typing import Any

from ingest.records import Summary
from stream.attribution import (
    PREFIX,
    TRACES_MAX,
    Candidate,
    TraceState,
    candidate,
    evidence,
    trace_key,
)
from stream.partition import Partition


class Attributing:
    """Traces of all tenants.

    Parameters
    ----------
    partition
        Holds their states, beside others.
    """

    def __init__(self, partition: Partition[Any]):
        self._partition = partition
        self._traces = 0

    def restored(self, keys: Iterable[str]) -> None:
        """The partition is again what these keys say."""
        self._traces = sum(key.startswith(PREFIX) for key in keys)

    def candidate(self, told: Summary) -> Candidate | None:
        """What follows from an alarm and those before it in its trace."""
        partition, key, found = self._partition, trace_key(told), evidence(told)
        if not key:
            return None
        if partition.get(key) is None:
            if not found or self._traces >= TRACES_MAX:
                return None
            self._traces += 1
        state: TraceState = partition.open(key)
        state.take(found, partition.now)
        partition.close(key, state)
        return candidate(state.pieces)

    def passed(self, key: str) -> None:
        """Nobody has spoken of a trace for long enough."""
        self._traces -= 1
        self._partition.drop(key)

    def gone(self, state: object) -> None:
        """A state was evicted."""
        self._traces -= isinstance(state, TraceState)
