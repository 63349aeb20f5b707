"""Recorded runs of real agents as their SDK would have sent them, with what is known of each call.

The recording lies beside the checkout. Its truth names the first call of a run that did what an injected
text asked; the calls after that one are not labelled.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ingest.simulate.recorded import Converter, Line, traces
from tracefuse.events import Event

Label = Literal["benign", "malicious", "unlabelled"]
DEADLINE_MS = 1000
DAY_S = 86_400


class Truth(msgspec.Struct):
    """What is known of one run; a field that is not needed is ignored."""

    trace_id: str
    model: str
    user_task: str
    attacked: bool
    malicious_call: int | None

    def label(self, call: int) -> Label:
        """Of a call by its number within the run."""
        if self.malicious_call is None or call < self.malicious_call:
            return "benign"
        return "malicious" if call == self.malicious_call else "unlabelled"


class Recorded(NamedTuple):
    """One run: its truth and its lines."""

    truth: Truth
    lines: list[Line]


def recorded(folder: Path) -> list[Recorded]:
    """All runs of a recording that has a truth, in its order."""
    decoder = msgspec.json.Decoder(Truth)
    truths = [decoder.decode(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]
    known = {truth.trace_id: truth for truth in truths}
    return [
        Recorded(known[lines[0].trace_id], lines)
        for lines in traces(folder / "events.jsonl.gz")
        if lines[0].trace_id in known
    ]


def events(run: Recorded, tenant: str, days: int = 0) -> Iterator[tuple[float, Event]]:
    """Events of a run and when they are sent: calls wait for a verdict, and say what they are for.

    Parameters
    ----------
    tenant
        Whose they are.
    days
        So many whole days later than recorded.
    """
    made = Converter(tenant, b"h" * 32).convert(run.lines, 0)
    at = {event.attrs["recorded_span_id"]: event for event in made if event.attrs}
    first, last = run.lines[0].timestamp, run.lines[-1].timestamp
    lines = {line.span_id: line for line in run.lines}
    assert len(at) == len(lines)
    for event in made:
        line = lines.get(str(event.attrs.get("recorded_span_id", "")))
        when = line.timestamp if line else first if event.name == "run.start" else last
        event.task_type, event.emitted_at = run.truth.user_task, int((when + days * DAY_S) * 1e6)
        if line is not None and event.name == "tool.request":
            event.attempt, event.deadline_ms = 1, DEADLINE_MS
        yield when + days * DAY_S, event
