"""Correlate's memory of traces with alarms: which candidate an incident names. Pure."""

from typing import Any

from ingest.records import Summary
from stream.correlate.rooms import Room
from stream.finding.attribution import (
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
        self.room = Room(partition, PREFIX, TraceState, TRACES_MAX)

    def candidate(self, told: Summary) -> Candidate | None:
        """What follows from an alarm and those before it in its trace."""
        partition, key, found = self._partition, trace_key(told), evidence(told)
        if not key:
            return None
        if partition.get(key) is None and not found:
            return None
        if not self.room.has(key):
            return None
        state: TraceState = partition.open(key)
        state.take(found, partition.now)
        partition.close(key, state)
        return candidate(state.pieces)

    def passed(self, key: str) -> None:
        """Nobody has spoken of a trace for long enough."""
        self.room.drop(key)
