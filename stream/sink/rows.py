"""First half of the sink: one record of Kafka in, its rows out. Pure.

What a record means is said by its topic and its header `kind`; ticks, owner records and facts other than
steps make no rows. Lines that the join sets aside make none either: they come back as dead letters.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from ingest import codec
from ingest.records import (
    NO_SRC,
    Acknowledged,
    DeadLetter,
    Incident,
    IncidentLabel,
    InForce,
    Label,
    Outcome,
    Sampled,
    Signal,
    Src,
    Step,
    Wanted,
)
from ingest.topics import (
    APPROVALS,
    CONTROL_LOG,
    DLQ,
    EVENTS,
    INBOX,
    INCIDENTS,
    QUARANTINE,
    SIGNALS,
    VERDICTS,
)
from stream.authenticity import authentic
from stream.sink.logged import Logged, acknowledged, commanded
from stream.sink.noted import Noted, noted
from stream.sink.told import Told, told
from tracefuse import control, wire
from tracefuse.errors import DecodeError
from tracefuse.events import Event

# The topics that become rows, and the table whose highest offset tells where to go on.
TABLES = {
    EVENTS: "events", INBOX: "steps", SIGNALS: "signals", CONTROL_LOG: "control_log",
    INCIDENTS: "incidents", VERDICTS: "verdicts", APPROVALS: "approvals", DLQ: "dead_letters",
    QUARANTINE: "dead_letters",
}  # fmt: skip
# A second table of a topic, for what has other columns or is kept longer. Repeats are dropped by offset
# alone, so what a worker says twice stands there twice, and views show it once.
SECOND = {EVENTS: "events_raw", CONTROL_LOG: "agent_files"}
# Rows of these carry `_src_*`; what is not above the highest one is a repeat.
DERIVED = frozenset(TABLES.values()) - {"events"}

# What msgspec raises of bytes; the last one for a nesting without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
TAG_BYTES = 64  # of a line's head, in which the tag of a fact stands


class Future(NamedTuple):
    """A line of a later major schema."""

    schema_version: str
    tenant: str
    agent_id: str


Item = Event | Future | Step | Signal | Logged | InForce | Incident | Told | Noted | DeadLetter


class Row(NamedTuple):
    """One row to be: its table, what it holds, its line, and its place in the record."""

    table: str
    item: Item
    raw: bytes
    idx: int
    spooled: bool = False


class Skip(NamedTuple):
    """A line (or a whole record) that makes no row though it should: the reason is counted."""

    reason: str


Read = Row | Skip


def read(
    topic: str, partition: int, headers: wire.Headers, value: bytes | None, master: bytes
) -> Iterator[Read]:
    """Rows of one record. Never raises for what a record holds.

    Parameters
    ----------
    topic, partition
        Where it was read.
    headers, value
        As they came.
    master
        The key from which the agents' credentials derive: a forged envelope makes no rows.
    """
    reader = _READERS.get((topic, wire.header(headers, wire.KIND)))
    if reader is not None and value is not None:
        yield from reader(partition, headers, value, master)


# -- events ---------------------------------------------------------------------------------------


def _events(partition: int, headers: wire.Headers, value: bytes, master: bytes) -> Iterator[Read]:
    kid = wire.header(headers, wire.KID).decode("utf-8", "replace")
    spooled = wire.header(headers, wire.SPOOLED) == b"1"
    if not authentic(master, kid, spooled, wire.header(headers, wire.MAC), value):
        yield Skip("bad_mac")
        return
    tenant, agent_id, _ = kid.split("/")
    for idx, line in enumerate(codec.lines(value)):
        try:
            event = codec.event(line)
        except DecodeError as error:
            if error.reason == "unknown_schema":
                version = str(error).partition(": ")[2]
                yield Row("events_raw", Future(version, tenant, agent_id), line, idx, spooled)
            else:
                yield Skip(error.reason)
            continue
        if event.tenant != tenant or event.agent_id != agent_id:
            yield Skip("foreign_claim")
        elif wire.partition_of(wire.trace_key(tenant, event.trace_id)) != partition:
            yield Skip("wrong_partition")
        else:
            yield Row("events", event, line, idx, spooled)


# -- derived records ------------------------------------------------------------------------------


def _lines(
    table: str,
    kind: Any,
    row_of: Callable[[Any], Item] = lambda item: item,
    tag: bytes = b"",
) -> "Reader":
    """Reader of envelopes that hold one kind of record, or that hold more of which one is wanted.

    A `tag` is looked for before a line is decoded: most facts of the inbox are no steps.
    """
    decode = msgspec.json.Decoder(kind).decode

    def reader(_: int, __: wire.Headers, value: bytes, ___: bytes) -> Iterator[Read]:
        for idx, line in enumerate(codec.lines(value)):
            if tag not in line[:TAG_BYTES]:
                continue
            try:
                yield Row(table, row_of(decode(line)), line, idx)
            except UNREADABLE:
                yield Skip("malformed")

    return reader


def _command(_: int, headers: wire.Headers, value: bytes, __: bytes) -> Iterator[Read]:
    try:
        command = control.decode(value)
    except UNREADABLE:
        yield Skip("malformed")
        return
    # Of a second person too, where it takes two; the words of both columns are in the same order.
    names = [
        wire.header(headers, name).decode("utf-8", "replace") for name in (wire.KID, wire.KID2)
    ]
    sigs = [wire.header(headers, name).hex() for name in (wire.SIG, wire.SIG2)]
    proof = (" ".join(filter(None, names)), " ".join(filter(None, sigs)))
    yield Row("control_log", commanded(command, *proof), value, 0)


def _verdicts(_: int, __: wire.Headers, value: bytes, master: bytes) -> Iterator[Read]:
    for idx, line in enumerate(codec.lines(value)):
        try:
            found = told(line, master)
        except UNREADABLE:
            yield Skip("malformed")
            continue
        yield Skip("bad_mac") if found is None else Row("verdicts", found, line, idx)


Reader = Callable[[int, wire.Headers, bytes, bytes], Iterator[Read]]
_READERS: dict[tuple[str, bytes], Reader] = {
    (EVENTS, codec.EVENTS): _events,
    (INBOX, codec.INBOX): _lines("steps", Step, tag=b'"type":"step"'),
    (SIGNALS, codec.SIGNALS): _lines("signals", Signal),
    (CONTROL_LOG, codec.COMMANDS): _command,
    (CONTROL_LOG, codec.ACKS): _lines("control_log", Acknowledged, acknowledged),
    (CONTROL_LOG, codec.FILES): _lines("agent_files", InForce),
    (INCIDENTS, codec.INCIDENTS): _lines("incidents", Incident),
    (VERDICTS, codec.VERDICTS): _verdicts,
    (APPROVALS, codec.APPROVALS): _lines(
        "approvals", Wanted | Outcome | Sampled | Label | IncidentLabel, noted
    ),
    (DLQ, codec.DEAD): _lines("dead_letters", DeadLetter),
    (QUARANTINE, codec.DEAD): _lines("dead_letters", DeadLetter),
}


def src(item: Item) -> Src:
    """The line that a derived record was computed from; `NO_SRC` where people made it."""
    if isinstance(item, DeadLetter):
        return (item.topic, item.partition, item.offset, item.line, 0)
    return getattr(item, "src", NO_SRC)


def order(item: Item) -> str:
    """What shares one order by `src` within a table: commands overtake the acknowledgements."""
    return item.record if isinstance(item, Logged) else ""
