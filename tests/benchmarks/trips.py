"""Trips judged by the agents' own records, and the way of a stop cut into its hops. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.simulate.journal import Call, Change


@dataclass(frozen=True, slots=True)
class Trip:
    """One run that was stopped. Times in µs.

    Parameters
    ----------
    emitted
        When the last event in evidence was emitted.
    changed
        When the gate of the process changed.
    before, after
        Calls that began between the two, and later.
    """

    cmd_id: str
    trace_id: str
    emitted: int
    changed: int
    before: int
    after: int

    @property
    def stop_ms(self) -> float:
        return (self.changed - self.emitted) / 1e3


def trips(calls: Iterable[Call], changes: Iterable[Change]) -> list[Trip]:
    """Runs of one process that the loop rule stopped, each by its first command.

    >>> calls = [Call("t", n, "search", 0, start, 0) for n, start in enumerate((10, 20, 35, 50))]
    >>> change = Change(40, "run:acme/a/t", "open", "c", "exact_loop", last_emitted_at=30)
    >>> trips(calls, [change, change])
    [Trip(cmd_id='c', trace_id='t', emitted=30, changed=40, before=1, after=1)]
    """
    begun: dict[str, list[int]] = {}
    for call in calls:
        begun.setdefault(call.trace_id, []).append(call.start_us)
    found: dict[str, Trip] = {}
    for change in changes:
        kind, _, rest = change.scope.partition(":")
        trace_id = rest.rpartition("/")[2]
        if (
            kind == "run"
            and change.state == "open"
            and change.rule == "exact_loop"
            and trace_id not in found
        ):
            starts = begun.get(trace_id, [])
            found[trace_id] = Trip(
                change.cmd_id,
                trace_id,
                change.last_emitted_at,
                change.at_us,
                before=sum(change.last_emitted_at <= start < change.at_us for start in starts),
                after=sum(start >= change.at_us for start in starts),
            )
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Way:
    """When one stop passed where. µs; the broker's times are whole milliseconds."""

    events: int
    """The record with the last event, by the broker's clock."""
    inbox: int
    """The record with its step, by the broker's clock."""
    issued: int
    """The command, by the worker's clock."""
    acknowledged: int = 0
    """The record with the acknowledgement, by the broker's clock; 0 where there is none."""


HOPS = ("emit to events", "events to inbox", "inbox to command", "command to gate")


def hops(found: Sequence[Trip], ways: Mapping[str, Way]) -> dict[str, list[float]]:
    """Milliseconds of each hop, trip by trip.

    >>> hops([Trip("c", "t", 1_000, 12_500, 0, 0)], {"c": Way(4_000, 7_000, 9_500)})
    {'emit to events': [3.0], 'events to inbox': [3.0], 'inbox to command': [2.5], 'command to gate': [3.0]}
    """
    lists: dict[str, list[float]] = {hop: [] for hop in HOPS}
    for trip in found:
        if (way := ways.get(trip.cmd_id)) is not None:
            marks = (trip.emitted, way.events, way.inbox, way.issued, trip.changed)
            for hop, start, end in zip(HOPS, marks, marks[1:], strict=False):
                lists[hop].append((end - start) / 1e3)
    return lists
