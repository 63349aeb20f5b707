"""What a record becomes: which rows, in which columns, and what is left out and counted."""

import weakref
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import (
    Acknowledged,
    DeadLetter,
    Incident,
    IncidentLabel,
    InForce,
    Label,
    Loop,
    Outcome,
    Ref,
    Run,
    RunTotals,
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
)
from stream.join.join import Join
from stream.sink.columns import SKEW_US, WARM, Block
from stream.sink.logged import Logged
from stream.sink.rows import Row, Skip, read
from tests.pipe import AGENT, AUTO, MASTER, TENANT, TRACE, Told, envelope
from tracefuse import control, wire
from tracefuse.control import Command, Reason
from tracefuse.events import Event, encode

PARTITION = wire.partition_of(wire.trace_key(TENANT, TRACE))
AT_MS = 1_795_000_000_000
SRC: Src = (EVENTS, 3, 100, 2, 1)


def events(lines: Sequence[Event | bytes], partition: int = PARTITION, **how: Any) -> list[Any]:
    """What one record of events makes."""
    headers, value = envelope(lines, **how)
    return list(read(EVENTS, partition, headers, value, MASTER))


def derived(topic: str, kind: bytes, *records: Any) -> list[Any]:
    """What one record of the pipeline's own makes."""
    value = codec.envelope([codec.encode(record) for record in records])
    return list(read(topic, 0, [(wire.KIND, kind)], value, MASTER))


def columns(found: Sequence[Any], topic: str = EVENTS, at_ms: int = AT_MS) -> dict[str, list[Any]]:
    """One insert of rows of one table."""
    block = Block(found[0].table, topic, 5)
    for row in found:
        block.add(row, 77, at_ms)
    return block.columns()


# -- events -----------------------------------------------------------------------------------------


def test_an_event_is_stored_with_its_line_and_place() -> None:
    """Fields in columns, the line byte for byte, and where in Kafka it stands."""
    told = Told()
    sent = [told("thought", confidence=0.5), told("tool.request", tool="crm.find")]
    found = events(sent, spooled=True)
    got = columns(found)

    assert got["name"] == ["thought", "tool.request"]
    assert got["tool"] == ["", "crm.find"]
    assert got["confidence"] == [0.5, None]
    assert got["raw"] == [encode(event) for event in sent]
    assert got["spooled"] == [True, True]
    assert (got["_topic"], got["_partition"], got["_offset"]) == ([EVENTS] * 2, [5, 5], [77, 77])
    assert (got["_idx"], got["_at"]) == ([0, 1], [AT_MS, AT_MS])


class Watched(Event, gc=True, weakref=True):
    """An event of which one can tell whether it still exists."""


def test_what_is_decoded_is_let_go() -> None:
    """Long before the insert: decoded rows take half as much again as their columns."""
    block = Block("events", EVENTS, 0)
    watched = []
    for offset in range(3 * WARM + 1):
        event = msgspec.convert(msgspec.to_builtins(Told()("thought")), Watched)
        watched.append(weakref.ref(event))
        block.add(Row("events", event, b"{}", 0), offset, AT_MS)
    del event

    assert [event() is None for event in watched] == [True] * 3 * WARM + [False]
    assert len(block) == 3 * WARM + 1
    assert block.columns()["_offset"] == list(range(3 * WARM + 1))
    assert watched[-1]() is None


def test_a_bad_line_costs_its_neighbours_nothing() -> None:
    """The join sends it to the dead letters; here it is counted and left out."""
    told = Told()
    found = events([told("thought"), b"{", told("output")])

    assert [type(one) for one in found] == [Row, Skip, Row]
    assert found[1].reason == "malformed"
    assert found[2].idx == 2


def test_a_later_major_schema_is_kept_whole() -> None:
    """F13: the line goes to `events_raw`, under the name that the envelope proved."""
    line = encode(Told()("thought")).replace(b"{", b'{"schema_version":"2.0",', 1)
    (found,) = events([line])
    got = columns([found])

    assert found.table == "events_raw"
    assert (got["schema_version"], got["raw"]) == (["2.0"], [line])
    assert (got["tenant"], got["agent_id"]) == ([TENANT], [AGENT])


def test_a_later_minor_schema_is_an_event() -> None:
    """Known fields in their columns; what is new stays in the line."""
    line = encode(Told()("thought")).replace(b"{", b'{"schema_version":"1.9","mood":"calm",', 1)
    (found,) = events([line])

    assert found.table == "events"
    assert columns([found])["schema_version"] == ["1.9"]
    assert b'"mood":"calm"' in found.raw


def test_a_forged_envelope_makes_no_rows() -> None:
    """F21: without the agent's key nothing of it counts, whatever it says."""
    headers, value = envelope([Told()("thought")])

    for forged in (b"", b"x" * 32):
        lied = [(k, forged if k == wire.MAC else v) for k, v in headers]
        assert list(read(EVENTS, PARTITION, lied, value, MASTER)) == [Skip("bad_mac")]
    assert list(read(EVENTS, PARTITION, headers, value + b" ", MASTER)) == [Skip("bad_mac")]
    assert list(read(EVENTS, PARTITION, headers, value, b"other" * 8)) == [Skip("bad_mac")]
    for kid in ("acme/refunds", "acme/refunds/\u00b2", "acme/refunds/1/2", "", "\0"):
        lied = [(k, kid.encode() if k == wire.KID else v) for k, v in headers]
        assert list(read(EVENTS, PARTITION, lied, value, MASTER)) == [Skip("bad_mac")]
    spooled = [*headers, (wire.SPOOLED, b"1")]
    assert list(read(EVENTS, PARTITION, spooled, value, MASTER)) == [Skip("bad_mac")]


def test_nobody_speaks_for_another() -> None:
    """A proved envelope holds its own agent's events only, in the partition of their trace."""
    assert events([Told(agent_id="victim")("thought")]) == [Skip("foreign_claim")]
    assert events([Told()("thought")], partition=PARTITION - 1) == [Skip("wrong_partition")]


def test_the_sink_takes_what_the_join_takes() -> None:
    """Every line is a row, a dead letter, or a duplicate: never two of them, never none."""
    told = Told()
    deep = b'{"attrs":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"
    lines: list[Event | bytes] = [
        told("thought"), b"{", b"", b"[]", b"null", deep, b"\xff\xfe", told("output"),
        encode(told("plan")).replace(b"{", b'{"seq":1,', 1),  # a key twice
        encode(told("plan")).replace(TRACE.encode(), b"Z" * 32),
        encode(told("plan")).replace(b'"plan"', b'"planned"'),
        encode(told("plan")).replace(b'"emitted_at":', b'"emitted_at":9999999999'),
        encode(Told(agent_id="victim")("plan")), encode(told("tool.request", tool="\U0001f600")),
        told("x.own", kind="contextual"), told("x.own", kind="operational", tool="a\0b"),
    ]  # fmt: skip
    headers, value = envelope(lines)
    rows = [one for one in read(EVENTS, PARTITION, headers, value, MASTER) if isinstance(one, Row)]
    join = Join(PARTITION, MASTER)
    outputs = join.apply(0, 1.0, headers, value)
    dead = [
        msgspec.json.decode(out.value, type=DeadLetter).line
        for out in outputs
        if out.topic in (DLQ, QUARANTINE)
    ]

    assert sorted([row.idx for row in rows] + dead) == list(range(len(lines)))


@pytest.mark.parametrize(("off_us", "skewed"), [(SKEW_US, False), (SKEW_US + 1, True)])
def test_a_wrong_clock_is_flagged(off_us: int, skewed: bool) -> None:
    """F12: over five minutes off the broker's time, either way."""
    told = Told()
    found = events([told("thought", emitted_at=AT_MS * 1000 + sign * off_us) for sign in (-1, 1)])

    assert columns(found)["skewed"] == [skewed, skewed]


@pytest.mark.parametrize("kind", [codec.TICK, codec.OWNER, b"", b"unheard of"])
def test_other_kinds_make_no_rows(kind: bytes) -> None:
    """Ticks and owner records are time and ownership, nobody's deeds."""
    headers = [(wire.KIND, kind)]

    assert list(read(EVENTS, 0, headers, b'{"worker":"w"}', MASTER)) == []
    assert list(read(INBOX, 0, headers, b"{}", MASTER)) == []
    assert list(read(CONTROL_LOG, 0, [(wire.KIND, codec.COMMANDS)], None, MASTER)) == []


# -- derived records --------------------------------------------------------------------------------


def test_only_steps_of_the_inbox_make_rows() -> None:
    """All other facts repeat what events, registry and control log hold."""
    step = Step(
        src=SRC, step_id="s1", phase="complete", revision=2, tenant=TENANT, agent_id=AGENT,
        trace_id=TRACE, span_id="b" * 16, action="tool", decision_args={"amount": 25.0},
        reasoning=[Ref("e1", "thought", "ff")], at=1.2345, run=RunTotals(calls=4), loop=Loop(1, 4, 4),
        requested_at=5,
    )  # fmt: skip
    run = Run(
        tenant=TENANT, agent_id=AGENT, trace_id=TRACE, phase="end", event_id="e", emitted_at=1
    )
    found = derived(
        INBOX, codec.INBOX, run, step, msgspec.structs.replace(step, run=None, loop=None)
    )
    got = columns(found, INBOX)

    assert [row.idx for row in found] == [1, 2]
    assert (got["reasoning"][0], got["reasoning_names"][0]) == (["e1"], ["thought"])
    assert got["decision_args"] == ['{"amount":25.0}'] * 2
    assert (got["run_calls"], got["loop_count"]) == ([4, 0], [4, 0])
    assert (got["at"], got["requested_at"]) == ([1234, 1234], [5, 5])
    marks = [got[f"_src_{name}"][0] for name in ("topic", "partition", "offset", "line", "n")]
    assert tuple(marks) == SRC


def test_a_number_without_bounds_still_fits() -> None:
    """Sums of claimed numbers have no bounds, a column does: one giant must not block all rows."""
    step = Step(
        step_id="s1", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE,
        span_id="b" * 16, action="tool", run=RunTotals(input_tokens=2**64), revision=2**40,
        requested_at=-(2**70),
    )  # fmt: skip
    got = columns(derived(INBOX, codec.INBOX, step), INBOX)

    assert got["run_input_tokens"] == [2**63 - 1]
    assert got["revision"] == [2**32 - 1]
    assert got["requested_at"] == [-(2**63)]


def test_a_command_keeps_its_proof() -> None:
    """Key id, signature and signed bytes: enough to verify it from ClickHouse alone."""
    scope = control.run_scope(TENANT, AGENT, TRACE)
    command = Command(
        cmd_id="c1", scope=scope, author="auto", action="stop-run", state="open", epoch=3, term=9,
        reason=Reason(rule="exact_loop", evidence=("e1",)), issued_at=17, src=SRC,
    )  # fmt: skip
    payload = control.encode(command)
    sig = AUTO.sign(control.control_key(scope, "auto"), payload)
    headers = [(wire.KIND, codec.COMMANDS), (wire.KID, AUTO.kid.encode()), (wire.SIG, sig)]
    found = list(read(CONTROL_LOG, 0, headers, payload, MASTER))
    got = columns(found, CONTROL_LOG)

    assert (got["record"], got["raw"]) == (["command"], [payload])
    assert (got["kid"], bytes.fromhex(got["sig"][0])) == ([AUTO.kid], sig)
    assert (got["scope_kind"], got["tenant"], got["agent_id"]) == (["run"], [TENANT], [AGENT])
    assert (got["trace_id"], got["rule"], got["evidence"]) == ([TRACE], ["exact_loop"], [("e1",)])
    assert (got["term"], got["epoch"], got["issued_at"]) == ([9], [3], [17])
    assert got["_src_offset"] == [100]


def test_a_file_keeps_its_proof() -> None:
    """Key id, signature and signed bytes, in a table of its own; what can't be read is counted."""
    line = InForce(
        src=SRC, tenant=TENANT, agent_id=AGENT, version=4, digest="d4", kid="registry/1", sig=b"\1\2",
        payload=b'{"agent":"refunds"}', at=17.5,
    )  # fmt: skip
    headers = [(wire.KIND, codec.FILES)]
    found = list(read(CONTROL_LOG, 0, headers, codec.encode(line), MASTER))
    got = columns(found, CONTROL_LOG)

    assert found[0].table == "agent_files"  # type: ignore[union-attr]
    assert (got["raw"], got["sig"], got["kid"]) == ([line.payload], ["0102"], ["registry/1"])
    assert (got["version"], got["digest"], got["at"]) == ([4], ["d4"], [17_500])
    assert got["_src_offset"] == [100]
    assert list(read(CONTROL_LOG, 0, headers, b"{", MASTER)) == [Skip("malformed")]


def test_a_command_of_two_people_keeps_both_proofs() -> None:
    """Key ids and signatures in the same order, a space between them."""
    command = Command(
        cmd_id="c1", scope="fleet", author="human", action="open", state="forced_open", epoch=3,
        reason=Reason(rule="human"),
    )  # fmt: skip
    signed = (
        (wire.KID, b"human/1"),
        (wire.SIG, b"\1"),
        (wire.KID2, b"human/second/1"),
        (wire.SIG2, b"\2"),
    )
    headers = [(wire.KIND, codec.COMMANDS), *signed]
    got = columns(list(read(CONTROL_LOG, 0, headers, control.encode(command), MASTER)), CONTROL_LOG)

    assert (got["kid"], got["sig"]) == (["human/1 human/second/1"], ["01 02"])
    assert (got["scope_kind"], got["tenant"]) == (["fleet"], [""])


def test_an_acknowledgement_stands_beside_its_command() -> None:
    """One table, so that the order within a scope is kept."""
    ack = Acknowledged(
        src=SRC, tenant=TENANT, agent_id=AGENT, cmd_id="c1", scope="agent:acme/refunds", epoch=3,
        event_id="e7", applied_at=123, at=9.5,
    )  # fmt: skip
    (found,) = derived(CONTROL_LOG, codec.ACKS, ack)
    got = columns([found], CONTROL_LOG)

    assert isinstance(found.item, Logged)
    assert (got["record"], got["cmd_id"], got["event_id"]) == (["ack"], ["c1"], ["e7"])
    assert (got["applied_at"], got["at"], got["scope_kind"]) == ([123], [9500], ["agent"])


def test_findings_and_incidents() -> None:
    """Evidence as JSON, times by record, the incident's line kept for its seal."""
    signal = Signal(
        src=SRC, signal_id="sig", tenant=TENANT, agent_id=AGENT, detector="exact_loop",
        evidence_class="rule", severity="high", action="stop-run", evidence={"count": 4},
        sentence="Four identical calls.", at=3.0, n=10**20,
    )  # fmt: skip
    incident = Incident(
        src=SRC, incident_id="inc", tenant=TENANT, agent_id=AGENT, severity="high", title="t",
        sentence="s", detector="exact_loop", action="stop-run", signal_id="sig",
        routes=["alertmanager"], opened_at=3.0,
    )  # fmt: skip
    signals = columns(derived(SIGNALS, codec.SIGNALS, signal), SIGNALS)
    incidents = columns(derived(INCIDENTS, codec.INCIDENTS, incident), INCIDENTS)

    assert (signals["evidence"], signals["at"]) == (['{"count":4}'], [3000])
    assert signals["n"] == [2**63 - 1]
    assert (incidents["routes"], incidents["opened_at"]) == ([["alertmanager"]], [3000])
    assert msgspec.json.decode(incidents["raw"][0], type=Incident) == incident


def test_what_people_are_asked_and_say_stands_side_by_side() -> None:
    """Requests and outcomes, calls to review and labels: each with what its kind has."""
    call: dict[str, Any] = {
        "src": SRC, "tenant": TENANT, "agent_id": AGENT, "trace_id": TRACE, "call_id": "c1",
        "tool": "crm.pay", "args_hash": "ff", "at": 3.0,
    }  # fmt: skip
    args: dict[str, Any] = {
        "decision_args": {"amount": 5}, "user_id": "carl", "task_type": "refund",
    }  # fmt: skip
    found = derived(
        APPROVALS, codec.APPROVALS,
        Wanted(approval_id="a1", rule="large", reason="why", approvers=["ann"], expires_at=9.0,
               **args, **call),
        Outcome(approval_id="a1", outcome="refused", by="ann", reason="no", kid="human/1", **call),
        Sampled(**args, **call),
        Label(label="wrong", by="bob", note="a fee", kid="human/1", said_at=17, **call),
    )  # fmt: skip
    got = columns(found, APPROVALS)

    assert got["record"] == ["wanted", "outcome", "sampled", "label"]
    assert got["approval_id"] == ["a1", "a1", "", ""]
    assert got["decision_args"] == ['{"amount":5}', "", '{"amount":5}', ""]
    assert got["user_id"] == ["carl", "", "carl", ""]
    assert got["task_type"] == ["refund", "", "refund", ""]
    assert (got["rule"], got["approvers"]) == (["large", "", "", ""], [("ann",), (), (), ()])
    assert (got["word"], got["person"]) == (["", "refused", "", "wrong"], ["", "ann", "", "bob"])
    assert (got["text"], got["kid"][3]) == (["why", "no", "", "a fee"], "human/1")
    assert (got["said_at"], got["at"]) == ([0, 0, 0, 17], [3000] * 4)
    assert (got["expires_at"], got["_src_offset"]) == ([9000, 0, 0, 0], [100] * 4)
    for name, value in (("tenant", TENANT), ("agent_id", AGENT), ("trace_id", TRACE)):
        assert got[name] == [value] * 4
    for name, value in (("call_id", "c1"), ("tool", "crm.pay"), ("args_hash", "ff")):
        assert got[name] == [value] * 4


def test_a_word_on_an_incident_stands_beside_them() -> None:
    """Which incident, which detector, whose word, when: no call, so its columns are empty."""
    said = IncidentLabel(
        src=SRC, tenant=TENANT, agent_id=AGENT, incident_id="inc-1", signal_id="sig-1",
        detector="exact_loop", label="false", by="ann", reason="a poll", kid="human/1", said_at=17,
        real=1, false=2, at=3.0,
    )  # fmt: skip
    got = columns(derived(APPROVALS, codec.APPROVALS, said), APPROVALS)

    for name, value in (
        ("record", "incident_label"), ("incident_id", "inc-1"), ("signal_id", "sig-1"),
        ("detector", "exact_loop"), ("word", "false"), ("person", "ann"), ("text", "a poll"),
        ("kid", "human/1"), ("said_at", 17), ("at", 3000), ("call_id", ""), ("tenant", TENANT),
    ):  # fmt: skip
        assert got[name] == [value]


@pytest.mark.parametrize("topic", [DLQ, QUARANTINE])
def test_dead_letters_keep_bytes_that_are_no_text(topic: str) -> None:
    """F11: base64 in ClickHouse, as on the wire; the origin is their source."""
    letter = DeadLetter(
        topic=EVENTS, partition=3, offset=9, line=2, reason="malformed", sha256="00",
        raw=b"\xff\xfe\x00", headers=[("kind", "events")],
    )  # fmt: skip
    got = columns(derived(topic, codec.DEAD, letter), topic)

    assert got["raw_base64"] == ["//4A"]
    assert got["headers"] == ['{"kind":"events"}']
    assert (got["_src_topic"], got["_src_offset"], got["_src_line"]) == ([EVENTS], [9], [2])


@pytest.mark.parametrize(
    ("topic", "kind"),
    [(INBOX, codec.INBOX), (SIGNALS, codec.SIGNALS), (CONTROL_LOG, codec.COMMANDS),
     (CONTROL_LOG, codec.ACKS), (INCIDENTS, codec.INCIDENTS), (APPROVALS, codec.APPROVALS),
     (DLQ, codec.DEAD)],
)  # fmt: skip
def test_damage_is_counted_and_passed_over(topic: str, kind: bytes) -> None:
    """No record stops the sink, whatever it holds."""
    deep = b'{"type":"step","x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for value in (b'{"type":"step"}', b'{"type":"step","\xff', deep):
        found = list(read(topic, 0, [(wire.KIND, kind)], value, MASTER))
        assert found == [Skip("malformed")]
