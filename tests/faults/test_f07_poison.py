"""F07: no record stops a core, whatever is in it; what can't be read is kept whole with its place."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import codec
from ingest.records import (
    Ack,
    Alive,
    DeadLetter,
    Fact,
    Loop,
    Ordered,
    Registered,
    Run,
    Step,
)
from ingest.topics import DLQ, QUARANTINE
from stream.dead_letters import RAW_BYTES_MAX, letter
from stream.detect.detect import Detect
from stream.join.join import Join
from stream.outputs import Line
from stream.worker.checkpoint import CELL_BYTES_MAX
from tests.pipe import MASTER, START, TENANT, TRACE, VERIFIER, Pipe, Told, envelope, registered
from tracefuse import wire
from tracefuse.errors import DecodeError
from tracefuse.events import KIND_OF, Event
from tracefuse.events import encode as encode_event

RECORD_BYTES_MAX = 1_048_588  # Kafka's default for one record

# Few values of each, so that events meet: the same call twice, results first, seq that stands still.
whole = st.sampled_from([0, 1, -1, 5, 2**63 - 1, -(2**63) + 1])
money = st.sampled_from([0.0, 0.1, -1.0, 1e-320, 1e12, 1e300, -1e300])
words = st.sampled_from(["", "a", "crm.find", "\x00", "\u2028", "é" * 100, "x/y:z", "💥"])
fields: dict[str, st.SearchStrategy[Any]] = {
    "call_id": st.sampled_from(["", "c1", "c2", "c/3"]),
    "boot_id": st.sampled_from(["b1", "b2", "b/3"]),
    "seq": whole, "emitted_at": whole, "duration_us": whole, "input_tokens": whole,
    "output_tokens": whole, "received_at": whole, "cost_usd": money,
    "confidence": st.none() | money, "tool": words, "status": st.sampled_from(
        ["", "ok", "error", "not_run", "odd"]), "error_type": words, "args_hash": words,
    "result_hash": words, "user_id": words, "model": words, "verdict_seen": words,
    "parent_span_id": words, "session_id": words, "environment": words,
    "attrs": st.dictionaries(
        st.sampled_from(["cmd_id", "scope", "term", "epoch", "state"]), words | whole | st.none()
    ),
    "sketches": st.dictionaries(st.just("simhash"), words | whole),
    "decision_args": st.dictionaries(words, words | whole | money, max_size=3),
    "span_id": st.sampled_from(["0" * 16, "f" * 16]),
}  # fmt: skip
odd = st.fixed_dictionaries({"name": st.sampled_from(sorted(KIND_OF))}, optional=fields)
pauses = st.sampled_from([0.0, 0.5, 2.0, 61.0, 100_000.0])
scripts = st.lists(st.tuples(odd, pauses, st.booleans()), min_size=1, max_size=25)


def told(told: Told, more: dict[str, Any]) -> Event:
    name = more["name"]
    return told(name, **{k: v for k, v in more.items() if k != "name"})


@settings(max_examples=120)
@given(scripts)
def test_no_event_stops_a_core(script: list[tuple[dict[str, Any], float, bool]]) -> None:
    """Extremes of every field, in any order, in and out of a spool; and the state can be saved."""
    pipe, refunds = Pipe(), Told()
    pipe.tell(registered(limits={"write": {"per_minute": 3}}, budgets={"run_usd": 1, "day_usd": 2}))
    for more, pause, spooled in script:
        pipe.now += pause
        pipe.send(told(refunds, more), spooled=spooled)
        pipe.tick()

    cores: list[Join | Detect] = [*pipe.joins.values(), *pipe.detects.values()]
    for core in cores:
        saved_and_restored(core)


def saved_and_restored(core: Join | Detect) -> None:
    """Each cell fits, and what comes back takes the next record."""
    snapshot = core.freeze()
    while core.partition.encode_some(snapshot):
        pass
    cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    assert all(len(cell) <= CELL_BYTES_MAX for cell in cells.values())
    again = Join(core.number, MASTER) if isinstance(core, Join) else Detect(core.number, VERIFIER)
    again.restore(snapshot.marker, cells)
    offset, now = snapshot.marker.offset + 1, snapshot.marker.now + 100_000.0
    tick = [(wire.KIND, codec.TICK)]

    assert again.apply(offset, now, tick, b"{}") == core.apply(offset, now, tick, b"{}")


src = st.tuples(st.just("agent.events.v1"), st.integers(0, 2), whole, whole, whole)
who = {"tenant": st.just(TENANT), "agent_id": st.sampled_from(["a", "b"])}
where = {**who, "trace_id": st.sampled_from([TRACE, "", "x"]), "src": src}
facts = st.one_of(
    st.builds(
        Step, **where, step_id=words, phase=st.sampled_from(["request", "complete"]), span_id=words,
        action=st.sampled_from(["tool", "llm", "handoff", "odd"]), tool=words, cost_usd=money,
        duration_us=whole, input_tokens=whole, status=fields["status"], at=money, echo=st.booleans(),
        spooled=st.booleans(), loop=st.none() | st.builds(Loop, whole, whole, whole),
    ),
    st.builds(Run, **where, phase=st.sampled_from(["start", "end"]), event_id=words, emitted_at=whole),
    st.builds(Alive, **where, event_id=words, emitted_at=whole, in_run=st.booleans()),
    st.builds(Ack, **where, event_id=words, emitted_at=whole, cmd_id=words, scope=words, epoch=whole),
    st.just(registered("a", heartbeat_s=0.5)),
    st.builds(Registered, **who, record_id=words, kid=words, sig=st.binary(max_size=70),
              payload=st.binary(max_size=70)),
    st.builds(Ordered, **who, record_id=words, kid=words, sig=st.binary(max_size=70),
              payload=st.binary(max_size=70)),
)  # fmt: skip


@settings(max_examples=120)
@given(st.lists(st.tuples(facts, pauses), min_size=1, max_size=25))
def test_no_fact_stops_detect(script: list[tuple[Fact, float]]) -> None:
    """Nothing that stands in an inbox, true or not, ends a worker."""
    detect, now = Detect(0, VERIFIER), START
    for offset, (fact, pause) in enumerate(script):
        now += pause
        detect.apply(offset, now, [(wire.KIND, codec.INBOX)], codec.encode(fact))

    saved_and_restored(detect)


@given(
    st.binary(max_size=300), st.sampled_from([codec.EVENTS, codec.INBOX, codec.TICK, b"", b"\xff"])
)
def test_no_bytes_stop_a_core(value: bytes, kind: bytes) -> None:
    """Proved or not, of any kind: at most a dead letter follows."""
    headers, _ = envelope([b"x"])
    proved, value_of = envelope([value.replace(b"\n", b" ")])
    number = wire.partition_of(wire.trace_key(TENANT, TRACE))
    for each, payload in ((headers, value), (proved, value_of), ([(wire.KIND, kind)], value)):
        out = [
            *Join(number, MASTER).apply(0, START, each, payload),
            *Detect(0, VERIFIER).apply(0, START, each, payload),
        ]

        assert {line.topic for line in out if isinstance(line, Line)} <= {DLQ, QUARANTINE}


def test_a_dead_letter_tells_place_reason_and_bytes() -> None:
    """All that is needed to read it again once the fault is found."""
    raw = b'{"event_id":\xff'
    dead = msgspec.json.decode(
        letter(("agent.events.v1", 3, 17, 4, 0), DecodeError("malformed", "because"), raw),
        type=DeadLetter,
    )

    assert (dead.topic, dead.partition, dead.offset, dead.line) == ("agent.events.v1", 3, 17, 4)
    assert (dead.reason, dead.detail) == ("malformed", "malformed: because")
    assert (dead.raw, dead.sha256) == (raw, hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize("size", [RAW_BYTES_MAX, RAW_BYTES_MAX + 1, 1_048_000])
def test_a_dead_letter_fits_a_record(size: int) -> None:
    """Else the first large forgery would end every worker that sets it aside, for ever."""
    raw = b"\xff" * size
    line = letter(("agent.events.v1", 3, 17, -1, 0), DecodeError("bad_mac", "x" * 10_000), raw)
    dead = msgspec.json.decode(line, type=DeadLetter)

    assert len(line) < RECORD_BYTES_MAX - 10_000
    assert dead.raw == raw[:RAW_BYTES_MAX]
    assert dead.sha256 == hashlib.sha256(raw).hexdigest()


def test_without_the_cut_it_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: in base64 the same bytes are a third more."""
    monkeypatch.setattr("stream.dead_letters.RAW_BYTES_MAX", 1 << 30)
    line = letter(("t", 0, 0, 0, 0), DecodeError("bad_mac"), b"\xff" * 1_000_000)

    assert len(line) > RECORD_BYTES_MAX


def test_what_is_made_of_the_largest_line_fits_a_record() -> None:
    """Long texts, many notes, numbers that grow when written anew: each line stays far below."""
    pipe, refunds = Pipe(), Told()
    notes = [refunds("x." + "n" * 254, kind="cognitive", event_id=f"{n:0256d}") for n in range(40)]
    text = {"user_id": "\u2028" * 1000, "tool": "\x01" * 3000}
    request, result = refunds.call(
        1, decision_args={"flat": [1e15] * 150}, attrs={"pad": "x" * 400_000}
    )
    for event in (request, result):
        for name, value in text.items():
            setattr(event, name, value)
    for event in [*notes, request, result]:
        pipe.send(event)
    sizes = [len(line.value) for line in pipe.facts]

    assert pipe.dead() == []
    assert len(encode_event(request)) < codec.LINE_BYTES_MAX
    assert max(sizes) < 100_000
