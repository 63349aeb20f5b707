"""What a worker's batch is worth in figures: lines read, outputs by what they are. Counts, decides nothing.

Called at the edge after the broker has everything, so that a repeat after a crash is counted like any
other record and no counter enters a decision.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from ingest import codec, metrics
from ingest.topics import DLQ, INCIDENTS, QUARANTINE, SIGNALS
from stream.outputs import Line, Order, Output
from tracefuse import wire

# How the encoder begins a step: cheaper than reading 10,000 lines a second.
_STEP = b'{"type":"step"'


class _Named(msgspec.Struct):
    """The few fields that become labels, whatever else the line holds."""

    detector: str = ""
    severity: str = ""
    reason: str = ""


_named = msgspec.json.Decoder(_Named).decode


class Read(Protocol):
    """A record as the worker has it; `timestamp` in seconds."""

    @property
    def timestamp(self) -> float: ...
    @property
    def headers(self) -> wire.Headers: ...
    @property
    def value(self) -> bytes: ...


def read(records: Iterable[Read]) -> None:
    """Events of applied records: lines, damaged ones too."""
    for record in records:
        if wire.header(record.headers, wire.KIND) == codec.EVENTS:
            metrics.EVENTS.inc(record.value.count(b"\n") + 1)


def written(stage: str, outputs: Sequence[Output], seconds: float) -> None:
    """Outputs that the broker has; `seconds` since the broker took the batch's newest record."""
    steps = 0
    for output in outputs:
        if isinstance(output, Line) and output.value.startswith(_STEP):
            steps += 1
        elif isinstance(output, Order):
            scope = output.command.scope.partition(":")[0]
            metrics.COMMANDS.labels(scope, output.command.state).inc()
            metrics.DECISION_SECONDS.observe(max(0.0, seconds))
        elif isinstance(output, Line):
            _line(stage, output)
    metrics.STEPS.inc(steps)


def _line(stage: str, line: Line) -> None:
    if line.kind == codec.ACKS:
        metrics.ACKNOWLEDGED.inc()
    elif line.topic in (SIGNALS, INCIDENTS, DLQ, QUARANTINE):
        _labelled(stage, line.topic, _named(line.value))


def _labelled(stage: str, topic: str, named: _Named) -> None:
    if topic == SIGNALS:
        metrics.SIGNALS.labels(named.detector, named.severity).inc()
        if named.detector == "unacknowledged":
            metrics.UNACKNOWLEDGED.inc()
    elif topic == INCIDENTS:
        metrics.INCIDENTS.labels(named.severity).inc()
    elif topic == DLQ:
        metrics.DEAD_LETTERS.labels(stage, named.reason).inc()
    else:
        metrics.QUARANTINED.labels(named.reason).inc()
