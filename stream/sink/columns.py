"""Second half of the sink: rows of one table in, columns for one insert out. Pure.

Names and types of columns are declared in `sql/*.sql`; here stands only where each value comes from. A
test compares the two. Columns go as lists of plain values, times as whole µs or ms: the driver's
fastest way, near 5 µs a row.
"""

from collections.abc import Callable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from ingest import codec
from ingest.records import Loop, RunTotals
from stream.sink.rows import Row, src

Values = list[Any]
Column = Callable[[Sequence[Any]], Values]

SKEW_US = 5 * 60 * 1_000_000  # F12: a claimed time that is off by more is flagged
INT64, UINT32 = 2**63 - 1, 2**32 - 1
EPOCH_MS = 1000
# Decoded rows that become columns together, while the processor's caches still hold them.
WARM = 32


class Fresh(NamedTuple):
    """Rows of one partition that are not in columns yet, with their offsets and the broker's times."""

    topic: str
    partition: int
    rows: list[Row]
    offsets: list[int]
    ats: list[int]


class Block:
    """Rows of one table within one contiguous range of offsets of a partition, or of several joined.

    Notes
    -----
    What was decoded becomes columns `WARM` rows at a time and is then let go. Until the insert is
    confirmed it holds values and raw lines, 1.8 kB an event of 490 bytes.
    """

    def __init__(self, table: str, topic: str, partition: int):
        self.table, self.topic, self.partition = table, topic, partition
        self._fresh = Fresh(topic, partition, [], [], [])
        self._columns: dict[str, Values] = {name: [] for name in names(table)}

    def __len__(self) -> int:
        return len(self._columns["_offset"]) + len(self._fresh.rows)

    def add(self, row: Row, offset: int, at_ms: int) -> None:
        """One more row, of the record at `offset`, which the broker took at `at_ms`."""
        fresh = self._fresh
        fresh.rows.append(row)
        fresh.offsets.append(offset)
        fresh.ats.append(at_ms)
        if len(fresh.rows) == WARM:
            self._fold()

    def without(self, event_ids: set[str]) -> "Block":
        """The same block less these events."""
        columns = self.columns()
        keep = [event_id not in event_ids for event_id in columns["event_id"]]
        kept = Block(self.table, self.topic, self.partition)
        for name, values in columns.items():
            kept._columns[name] += compress(values, keep)
        return kept

    def extend(self, other: "Block") -> None:
        """Take over the rows of another partition's block of this table."""
        columns = self.columns()
        for name, values in other.columns().items():
            columns[name] += values

    def columns(self) -> dict[str, Values]:
        """All columns of the table by name."""
        if self._fresh.rows:
            self._fold()
        return self._columns

    def _fold(self) -> None:
        columns, fresh = self._columns, self._fresh
        items = [row.item for row in fresh.rows]
        for name, column in COLUMNS[self.table].items():
            columns[name] += column(items)
        for name, place in _PLACES[self.table].items():
            columns[name] += place(fresh)
        self._fresh = Fresh(self.topic, self.partition, [], [], [])


# -- where values come from -----------------------------------------------------------------------


def _same(*names: str) -> dict[str, Column]:
    return {name: _attribute(name) for name in names}


def _attribute(path: str) -> Column:
    get = attrgetter(path)
    return lambda items: list(map(get, items))


def _whole(*names: str, most: int = INT64) -> dict[str, Column]:
    return {name: _bounded(_attribute(name), most) for name in names}


def _bounded(column: Column, most: int = INT64) -> Column:
    """Whole numbers that fit the column. JSON knows no bounds, and one giant must not block all rows."""
    least = -most - 1 if most == INT64 else 0

    def bounded(items: Sequence[Any]) -> Values:
        values = column(items)
        if values and (max(values) > most or min(values) < least):
            return [max(least, min(most, value)) for value in values]
        return values

    return bounded


def _milliseconds(*names: str) -> dict[str, Column]:
    def of(name: str) -> Column:
        get = attrgetter(name)
        return lambda items: [round(get(item) * EPOCH_MS) for item in items]

    return {name: _bounded(of(name)) for name in names}


def _json(name: str) -> dict[str, Column]:
    get = attrgetter(name)
    return {name: lambda items: [codec.encode(v).decode() if (v := get(i)) else "" for i in items]}


def _refs(name: str) -> dict[str, Column]:
    get = attrgetter(name)
    return {
        name: lambda items: [[ref.event_id for ref in get(item)] for item in items],
        f"{name}_names": lambda items: [[ref.name for ref in get(item)] for item in items],
    }


def _part(names: dict[str, str], field: str, default: Any, most: int) -> dict[str, Column]:
    """Whole numbers of an inner struct that may be missing."""

    def of(inner: str) -> Column:
        get = attrgetter(inner)
        return lambda items: [get(getattr(item, field) or default) for item in items]

    return {name: _bounded(of(inner), most) for name, inner in names.items()}


_TOTALS = {f"run_{name}": name for name in RunTotals.__struct_fields__}
_LOOP = {f"loop_{name}": name for name in Loop.__struct_fields__}

_EVENTS = _same(
    "event_id", "schema_version", "kind", "name", "trace_id", "span_id", "parent_span_id", "call_id",
    "tenant", "environment", "agent_id", "bundle", "user_id", "session_id", "task_type", "source",
    "boot_id", "tool", "status", "error_type", "cost_usd", "confidence", "args_hash", "result_hash",
    "fingerprints_cut", "verdict_seen", "data_classes", "model", "prompt_hash", "tools_hash",
    "policy_hash", "truncated",
) | _whole("emitted_at", "seq", "received_at", "duration_us", "input_tokens", "output_tokens")  # fmt: skip

_STEPS = (
    _same(
        "step_id", "phase", "tenant", "agent_id", "trace_id", "span_id", "parent_span_id", "call_id",
        "environment", "bundle", "user_id", "session_id", "task_type", "action", "tool", "model",
        "status", "error_type", "cost_usd", "confidence", "args_hash", "result_hash", "verdict_seen",
        "state_before", "state_after", "request_id", "result_id", "spooled", "late", "echo",
    )
    | _whole("duration_us", "input_tokens", "output_tokens", "requested_at", "completed_at")
    | _whole("revision", most=UINT32)
    | _milliseconds("at")
    | _json("decision_args")
    | _refs("reasoning")
    | _refs("context")
    | _part(_TOTALS, "run", RunTotals(), INT64)
    | _part(_LOOP, "loop", Loop(), UINT32)
)  # fmt: skip

_SIGNALS = (
    _same(
        "signal_id", "tenant", "agent_id", "trace_id", "step_id", "tool", "detector",
        "evidence_class", "severity", "action", "status", "score", "threshold", "sentence",
        "first_event", "last_event", "scope", "cmd_id", "model", "bundle", "why", "owasp", "atlas",
        "rank",
    )
    | _whole("n")
    | _json("evidence")
    | _milliseconds("at")
)  # fmt: skip

_INCIDENTS = _same(
    "incident_id", "tenant", "agent_id", "status", "severity", "title", "sentence", "detector",
    "action", "scope", "cmd_id", "trace_id", "signal_id", "first_event", "last_event", "owner",
    "routes", "why", "owasp", "atlas", "candidate_agent", "candidate_step", "candidate_share",
    "node", "children", "parent", "muted", "rank", "agents",
) | _milliseconds("opened_at")  # fmt: skip

_VERDICT = (
    "call_id", "attempt", "tenant", "agent_id", "trace_id", "boot_id", "word", "gate", "reason",
    "delay_ms", "approval_id",
)  # fmt: skip
_VERDICTS = {name: _attribute(f"verdict.{name}") for name in _VERDICT} | _same("kid", "mac")
_VERDICTS |= {name: _bounded(_VERDICTS[name]) for name in ("attempt", "delay_ms")}

_LETTERS = _same("reason", "detail", "sha256") | {
    "raw_base64": lambda items: [msgspec.to_builtins(item.raw) for item in items],
    "headers": lambda items: [codec.encode(dict(i.headers)).decode() for i in items],
}


_LOGGED = (
    _same(
        "record", "cmd_id", "scope", "scope_kind", "tenant", "agent_id", "trace_id", "author",
        "action", "state", "rule", "text", "evidence", "mode", "event_id", "kid", "sig",
    )
    | _whole("term", "epoch", "last_emitted_at", "issued_at", "expires_at", "applied_at")
    | _whole("probes", "interval_ms", most=UINT32)
    | _milliseconds("at")
)  # fmt: skip

_FILES = (
    _same("tenant", "agent_id", "digest", "kid")
    | _whole("version")
    | _milliseconds("at")
    | {
        "sig": lambda items: [item.sig.hex() for item in items],
        "raw": lambda items: [item.payload for item in items],  # what the signature is over
    }
)

_NOTED = (
    _same(
        "record", "approval_id", "tenant", "agent_id", "trace_id", "call_id", "tool", "args_hash",
        "user_id", "task_type", "rule", "word", "person", "text", "approvers", "kid", "incident_id",
        "signal_id", "detector",
    )
    | _whole("said_at")
    | _milliseconds("at", "expires_at")
    | _json("decision_args")
)  # fmt: skip

COLUMNS: dict[str, dict[str, Column]] = {
    "events": _EVENTS,
    "events_raw": _same("schema_version", "tenant", "agent_id"),
    "steps": _STEPS,
    "signals": _SIGNALS,
    "control_log": _LOGGED,
    "agent_files": _FILES,
    "incidents": _INCIDENTS,
    "verdicts": _VERDICTS,
    "approvals": _NOTED,
    "dead_letters": _LETTERS,
}

# -- where rows stand -------------------------------------------------------------------------------

Place = Callable[[Fresh], Values]

_KAFKA: dict[str, Place] = {
    "_topic": lambda fresh: [fresh.topic] * len(fresh.rows),
    "_partition": lambda fresh: [fresh.partition] * len(fresh.rows),
    "_offset": lambda fresh: fresh.offsets,
    "_idx": lambda fresh: [row.idx for row in fresh.rows],
    "_at": lambda fresh: fresh.ats,
}


def _mark(part: int) -> Place:
    return lambda fresh: [src(row.item)[part] for row in fresh.rows]


_MARKS = ("_src_topic", "_src_partition", "_src_offset", "_src_line", "_src_n")
_SRC: dict[str, Place] = {name: _mark(part) for part, name in enumerate(_MARKS)}
_RAW: dict[str, Place] = {"raw": lambda fresh: [row.raw for row in fresh.rows]}
_SPOOLED: dict[str, Place] = {"spooled": lambda fresh: [row.spooled for row in fresh.rows]}


def _skewed(fresh: Fresh) -> Values:
    claims = map(attrgetter("item.emitted_at"), fresh.rows)
    return [abs(c - at * 1000) > SKEW_US for c, at in zip(claims, fresh.ats, strict=True)]


_PLACES: dict[str, dict[str, Place]] = {
    "events": _KAFKA | _RAW | _SPOOLED | {"skewed": _skewed},
    "events_raw": _KAFKA | _RAW | _SPOOLED,
    "steps": _KAFKA | _SRC,
    "signals": _KAFKA | _SRC,
    "control_log": _KAFKA | _SRC | _RAW,
    "agent_files": _KAFKA | _SRC,
    "incidents": _KAFKA | _SRC | _RAW,
    "verdicts": _KAFKA | _SRC | _RAW,
    "approvals": _KAFKA | _SRC | _RAW,
    "dead_letters": _KAFKA | _SRC,
}


def names(table: str) -> list[str]:
    """All columns that an insert into this table fills."""
    return [*COLUMNS[table], *_PLACES[table]]
