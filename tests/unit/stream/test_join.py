"""What join promises: facts of a trace, whoever sends what, in whatever order."""

import json
from collections.abc import Sequence

import pytest

from ingest import codec
from ingest.records import Ack, Alive, DeadLetter, Fact, Run, Step
from ingest.topics import DLQ, INBOX, QUARANTINE
from stream.join.join import Join
from stream.join.trace_state import (
    ACTIONS_KEPT,
    CALLS_KEPT,
    NOTES_KEPT,
    OPEN_KEPT,
    PRODUCERS_MAX,
    SEEN_KEPT,
    hash_of,
)
from stream.outputs import Line
from tests.pipe import (
    AGENT,
    MASTER,
    START,
    TENANT,
    TRACE,
    Pipe,
    Told,
    envelope,
    event_id,
    found,
    trace_id,
)
from tracefuse import wire
from tracefuse.events import Event
from tracefuse.events import encode as encode_event

NUMBER = wire.partition_of(wire.trace_key(TENANT, TRACE))


class Alone:
    """Join of the partition of `TRACE`, by itself."""

    def __init__(self) -> None:
        self.join = Join(NUMBER, MASTER)
        self.now = START
        self.said: list[Line] = []

    def send(
        self, *lines: Event | bytes, spooled: bool = False, agent_id: str = AGENT
    ) -> list[Fact]:
        return self.put(*envelope(lines, agent_id=agent_id, spooled=spooled))

    def put(self, headers: wire.Headers, value: bytes) -> list[Fact]:
        offset = self.join.partition.offset + 1
        lines = self.join.apply(offset, self.now, headers, value)
        self.said += lines
        return facts(lines)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.put([(wire.KIND, codec.TICK)], b"{}")


def facts(lines: Sequence[Line]) -> list[Fact]:
    return found(lines, INBOX, Fact)


def steps(told: Sequence[Fact]) -> list[Step]:
    return [fact for fact in told if isinstance(fact, Step)]


def dead(alone: Alone, topic: str = DLQ) -> list[DeadLetter]:
    return found(alone.said, topic, DeadLetter)


@pytest.fixture
def alone() -> Alone:
    return Alone()


# -- steps ---------------------------------------------------------------------------------------


def test_a_call_is_told_twice(alone: Alone) -> None:
    """When it is requested and when it has completed: one step, two phases, all it was decided in."""
    told = Told()
    thought, retrieved = told("thought", sketches={"simhash": "00ff"}), told("retrieval")
    before = told("state.before")
    request, result = told.call(1, cost_usd=0.25, input_tokens=10, output_tokens=5)
    after = told("state.after")
    asked, done, amended = steps(
        alone.send(thought, retrieved, before, request, result, after, told("thought"))
    )

    assert (asked.phase, done.phase, amended.phase) == ("request", "complete", "complete")
    assert asked.step_id == done.step_id == amended.step_id
    assert [(ref.name, ref.sketch) for ref in done.reasoning] == [("thought", "00ff")]
    assert [ref.event_id for ref in done.context] == [retrieved.event_id, before.event_id]
    assert (done.state_before, amended.state_after) == (before.event_id, after.event_id)
    assert (done.request_id, done.result_id) == (request.event_id, result.event_id)
    assert asked.run is not None
    assert (asked.run.steps, asked.run.calls, asked.run.cost_micro) == (1, 1, 0)
    assert done.run is not None
    assert (done.run.steps, done.run.cost_micro, done.run.input_tokens) == (1, 250_000, 10)
    assert [step.revision for step in (asked, done, amended)] == [0, 1, 2]
    assert [step.echo for step in (asked, done, amended)] == [False, False, True]


def test_notes_belong_to_the_next_action(alone: Alone) -> None:
    """What was thought before a call is that call's, not the one before or after."""
    told = Told()
    lines = [event for n in (1, 2) for event in (told("thought"), *told.call(n))]
    alone.send(*lines)
    last = {step.step_id: step for step in steps(facts(alone.said))}

    assert [[ref.event_id for ref in step.reasoning] for step in last.values()] == [
        [lines[0].event_id],
        [lines[3].event_id],
    ]


def test_own_names_count_as_reasoning_only_if_cognitive(alone: Alone) -> None:
    """A contextual event of the list is context, wherever the dot in its name is."""
    told = Told()
    output, own = told("output"), told("x.ranking", kind="cognitive")
    step = steps(alone.send(output, own, told.call(1)[0]))[0]

    assert [ref.name for ref in step.context] == ["output"]
    assert [ref.name for ref in step.reasoning] == ["x.ranking"]


def test_a_result_before_its_request(alone: Alone) -> None:
    """The decision follows the result at once; the request then completes the record, no more."""
    told = Told()
    request, result = told.call(1, status="error")
    first = steps(alone.send(result))[0]
    second = steps(alone.send(request))[0]

    assert (first.phase, first.status, first.echo, first.request_id) == (
        "complete", "error", False, "",
    )  # fmt: skip
    assert (second.phase, second.status, second.echo) == ("complete", "error", True)
    assert (second.request_id, first.revision, second.revision) == (request.event_id, 1, 2)
    assert second.run is None
    assert first.run is not None
    assert (first.run.steps, first.run.calls, first.run.errors) == (1, 1, 1)


def test_ten_calls_at_once(alone: Alone) -> None:
    """Each result finds its own request, whatever the order in which they end."""
    told = Told()
    pairs = [told.call(n) for n in range(10)]
    alone.send(*(request for request, _ in pairs))
    done = steps(alone.send(*(result for _, result in reversed(pairs))))

    assert [(s.request_id, s.result_id) for s in reversed(done)] == [
        (request.event_id, result.event_id) for request, result in pairs
    ]
    assert done[-1].run is not None
    assert (done[-1].run.steps, done[-1].run.calls) == (10, 10)


def test_a_long_call_finds_its_end(alone: Alone) -> None:
    """A delegation stays open while hundreds of calls come and go within the trace."""
    told = Told()
    request, result = told.call(0, tool="delegate")
    alone.send(request)
    for n in range(1, CALLS_KEPT + 50):
        alone.send(*told.call(n))
    result.seq = told.seq + 1
    done = steps(alone.send(result))[0]

    assert (done.phase, done.request_id, done.args_hash) == ("complete", request.event_id, "args-0")
    assert done.run is not None
    assert done.run.calls == CALLS_KEPT + 50


def test_more_calls_at_once_than_are_kept_are_no_loop(alone: Alone) -> None:
    """What was asked is forgotten: such results look alike, and their rows still win over the asking."""
    told = Told()
    pairs = [told.call(n) for n in range(OPEN_KEPT + 20)]
    for _, result in pairs:
        result.result_hash = "same"
    asked = [step for request, _ in pairs for step in steps(alone.send(request))]
    done = [step for _, result in pairs for step in steps(alone.send(result))]

    assert len([step for step in done if not step.request_id]) == 20
    assert max(step.loop.count for step in done if step.loop is not None) == 1
    assert all(after.revision > before.revision for before, after in zip(asked, done, strict=True))


@pytest.mark.parametrize("early", [False, True])
def test_what_did_not_run_counts_for_nothing(alone: Alone, early: bool) -> None:
    """A refused call is a step, but no call, no cost, no error, no repetition."""
    told = Told()
    request, result = told.call(1, status="not_run", cost_usd=9.0, input_tokens=9)
    done = alone.send(*((result, request) if early else (request, result)))
    last = steps(alone.send(*told.call(2)))[-1]

    assert steps(done)[-1].status == "not_run"
    assert all(step.loop is None for step in steps(done))
    assert last.run is not None
    assert (last.run.steps, last.run.calls, last.run.errors) == (2, 1, 0)
    assert (last.run.cost_micro, last.run.input_tokens) == (0, 0)
    assert last.loop is not None
    assert last.loop.count == 1


def test_a_call_id_that_is_used_again_is_another_call(alone: Alone) -> None:
    """Some frameworks number calls anew each turn: none may hide behind an earlier one."""
    told = Told()
    alone.send(*told.call(1))
    again = steps(alone.send(*told.call(1)))

    assert [(step.phase, step.echo) for step in again] == [("request", False), ("complete", False)]
    assert again[-1].run is not None
    assert again[-1].run.calls == 2
    assert [step.revision for step in again] == [2, 3]


def test_a_restarted_process_may_ask_again(alone: Alone) -> None:
    """The same call from another boot costs nobody anything: a worker that fails on it fails for ever."""
    first, second = Told(boot_id="b1"), Told(boot_id="b2")
    request, result = first.call(1)
    again, other = second.call(1)
    told = steps(alone.send(request, again, other, result))

    assert {step.phase for step in told} == {"request", "complete"}


@pytest.mark.parametrize("swap", [False, True])
def test_a_result_may_come_from_another_process(alone: Alone, swap: bool) -> None:
    """Request and result find each other across processes, in both orders."""
    request = Told(boot_id="b1").call(1)[0]
    result = Told(boot_id="b2").call(1)[1]
    told = steps(alone.send(*((result, request) if swap else (request, result))))

    assert (told[-1].request_id, told[-1].result_id) == (request.event_id, result.event_id)
    assert told[-1].phase == "complete"


def test_careless_sequence_numbers_do_not_mix_calls(alone: Alone) -> None:
    """A producer that counts nothing has all its actions in one place; calls still find their own."""
    told = Told()
    pairs = [told.call(n) for n in range(3)]
    for event in (event for pair in pairs for event in pair):
        event.seq = 0
    alone.send(*(request for request, _ in pairs))
    done = steps(alone.send(*(result for _, result in pairs)))

    assert [(s.request_id, s.result_hash) for s in done] == [
        (request.event_id, f"result-{n}") for n, (request, _) in enumerate(pairs)
    ]


def test_one_event_says_all_of_a_handoff(alone: Alone) -> None:
    """Handoffs and memory accesses are steps that complete at once, and no calls."""
    told = Told()
    done = steps(alone.send(told("handoff"), told("memory.write", tool="notes")))

    assert [(step.phase, step.action) for step in done] == [
        ("complete", "handoff"), ("complete", "memory.write"),
    ]  # fmt: skip
    assert done[-1].run is not None
    assert (done[-1].run.steps, done[-1].run.calls) == (2, 0)


@pytest.mark.parametrize("cost", [-5.0, 1e13, 1.7e308, -1.7e308])
def test_absurd_claims_count_as_nothing(alone: Alone, cost: float) -> None:
    """Amounts are what an agent says: no sum may be poisoned, and no worker stopped."""
    told, tokens = Told(), 2**63 - 1
    for n in range(4):
        last = steps(alone.send(*told.call(n, cost_usd=cost, input_tokens=tokens)))[-1]
    alone.send(*told.call(9, cost_usd=0.5, input_tokens=-7, output_tokens=3))
    last = steps(facts(alone.said))[-1]

    assert last.run is not None
    assert (last.run.cost_micro, last.run.input_tokens, last.run.output_tokens) == (500_000, 0, 3)
    snapshot = alone.join.freeze()
    while alone.join.partition.encode_some(snapshot):
        pass
    assert len(snapshot.cells) == 1


# -- who sends what --------------------------------------------------------------------------------


def test_one_bad_line_costs_its_neighbours_nothing(alone: Alone) -> None:
    """Its bytes, place and reason are kept; the lines before and after it count."""
    told = Told()
    request, result = told.call(1)
    done = steps(alone.send(request, b'{"event_id": nonsense', b"", result))

    assert [step.phase for step in done] == ["request", "complete"]
    assert [(d.offset, d.line, d.reason) for d in dead(alone)] == [
        (0, 1, "malformed"), (0, 2, "malformed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kid",
    [
        "acme/refunds/2", "acme/refunds", "acme/refunds/x", "acme/refunds/1/1", "", "//",
        "acme/refunds/\N{SUPERSCRIPT TWO}", "acme/refunds/" + "9" * 5000, "acme/refunds/-1",
        "acme/refunds/\N{ARABIC-INDIC DIGIT ONE}", "other/refunds/1",
    ],
)  # fmt: skip
def test_what_is_not_proved_counts_for_nobody(alone: Alone, kid: str) -> None:
    """Another key, another agent's, or no key id at all: quarantine, whatever it looks like."""
    headers, value = envelope(Told().call(1))
    forged = [(wire.KIND, codec.EVENTS), (wire.KID, kid.encode()), (wire.MAC, headers[2][1])]

    assert alone.put(forged, value) == []
    assert [d.reason for d in dead(alone, QUARANTINE)] == ["bad_mac"]
    assert len(alone.join.partition) == 0


@pytest.mark.parametrize("spoilt", ["value", "mac", "spooled", "missing", "none", "empty"])
def test_a_changed_record_is_not_proved(alone: Alone, spoilt: str) -> None:
    """Every byte is covered, and whether it was spooled; a header without a value is none."""
    headers, value = envelope(Told().call(1))
    mac = headers[2][1]
    changed: dict[str, tuple[list[tuple[str, bytes | None]], bytes]] = {
        "value": ([*headers], value + b" "),
        "mac": ([*headers[:2], (wire.MAC, mac[:-1] + bytes([mac[-1] ^ 1]))], value),
        "spooled": ([*headers, (wire.SPOOLED, b"1")], value),
        "missing": ([*headers[:2]], value),
        "none": ([headers[0], (wire.KID, None), (wire.MAC, None)], value),
        "empty": ([*headers[:2], (wire.MAC, b"")], value),
    }
    forged, payload = changed[spoilt]

    assert alone.put(forged, payload) == []  # type: ignore[arg-type]
    assert len(dead(alone, QUARANTINE)) == 1


def test_a_record_without_a_value_stops_nobody(alone: Alone) -> None:
    """A tombstone on a topic that has none is set aside like any other unproved record."""
    headers, _ = envelope(Told().call(1))

    assert alone.put(headers, None) == []  # type: ignore[arg-type]
    assert len(dead(alone, QUARANTINE)) == 1


def test_an_honest_record_counts(alone: Alone) -> None:
    """Control: the same record, unchanged."""
    assert len(alone.put(*envelope(Told().call(1)))) == 2


@pytest.mark.parametrize("claim", [{"agent_id": "victim"}, {"tenant": "other"}])
def test_nobody_speaks_for_another(alone: Alone, claim: dict[str, str]) -> None:
    """A valid credential proves one agent of one tenant; a foreign line counts for nobody."""
    request, result = Told().call(1)
    forged = Told(**claim).call(2)

    assert len(alone.send(request, *forged, result)) == 2
    assert [d.reason for d in dead(alone, QUARANTINE)] == ["foreign_claim"] * 2


def test_a_colleague_cannot_end_a_call(alone: Alone) -> None:
    """An agent in the same trace, under the same boot and call ids, reaches no step of another's."""
    victim, rogue = Told(), Told(agent_id="rogue")
    thought, (request, result) = victim("thought"), victim.call(1)
    alone.send(thought, request)
    rogue.seq = 1
    told = alone.send(
        rogue("thought"), *rogue.call(1, status="error", cost_usd=99.0), agent_id="rogue"
    )
    done = steps(alone.send(result))[-1]

    assert {fact.agent_id for fact in told if isinstance(fact, Step)} == {"rogue"}
    assert (done.status, done.cost_usd, len(done.reasoning)) == ("ok", 0.0, 1)
    assert done.run is not None
    assert (done.run.errors, done.run.cost_micro) == (0, 0)


def test_a_record_in_the_wrong_partition_is_set_aside(alone: Alone) -> None:
    """State of a trace is in one place; what was sent elsewhere must not begin another."""
    away = next(
        trace for trace in (f"{n:032x}" for n in range(100))
        if wire.partition_of(wire.trace_key(TENANT, trace)) != NUMBER
    )  # fmt: skip

    assert alone.send(*Told(trace_id=away).call(1)) == []
    assert [d.reason for d in dead(alone)] == ["wrong_partition"] * 2


# -- once ------------------------------------------------------------------------------------------


def test_an_event_counts_once(alone: Alone) -> None:
    """A producer that sends again after a lost acknowledgement changes nothing."""
    told = Told()
    lines = [told("run.start"), told("thought"), *told.call(1, cost_usd=1.0), told("heartbeat")]
    alone.send(*lines)

    assert alone.send(*lines) == []
    assert alone.send(*reversed(lines)) == []


def test_without_the_ids_it_would_count_twice(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: deduplication is what the id does."""
    monkeypatch.setattr("stream.join.trace_state.Trace.first_time", lambda self, event_id: True)
    lines = Told().call(1, cost_usd=1.0)
    alone.send(*lines)

    assert alone.send(*lines) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a-1", "a1"), ("1-23", "12-3"), ("1_0", "10"), ("run-a-00000000000000001",
        "run-b-00000000000000001"),
        # UUIDv1: clock and host stand at the end, the time in front.
        ("6c84fb90-12c4-11e1-840d-7b25c5ee775a", "6c84fb91-12c4-11e1-840d-7b25c5ee775a"),
        (event_id(1), event_id(2)),
    ],
)  # fmt: skip
def test_ids_of_any_form_are_told_apart(one: str, other: str) -> None:
    """Two events are two, wherever in their ids the difference is."""
    assert hash_of(one) != hash_of(other)
    assert 0 <= hash_of(one) < 2**63
    assert hash_of(one) == hash_of("".join(one))


# -- life of a trace -------------------------------------------------------------------------------


def test_a_trace_ends_a_minute_after_its_run(alone: Alone) -> None:
    """Results still come in for 60 s; then it is forgotten."""
    told = Told()
    alone.send(told("run.start"), told("run.end"))
    alone.wait(59.9)
    alive = len(alone.join.partition)
    alone.wait(0.1)

    assert (alive, len(alone.join.partition)) == (1, 0)


def test_what_comes_after_the_end_is_late(alone: Alone) -> None:
    """It is told for the record and marked, counted, and nothing is decided from it."""
    told = Told()
    alone.send(told("run.start"), told("run.end"))
    alone.wait(61.0)
    late = steps(alone.send(*told.call(1), told("thought"), told("heartbeat"), told("run.start")))

    assert [(step.late, step.echo, step.phase) for step in late] == [
        (True, True, "request"), (True, True, "complete"),
    ]  # fmt: skip
    assert all(step.run is None and step.loop is None for step in late)
    assert (alone.join.late, len(alone.join.partition)) == (5, 0)


def test_traces_that_begin_alike_end_apart(alone: Alone) -> None:
    """Many tracers write zeros or the time into the first half of a trace id."""
    ids = [f"{0:016x}{n:016x}" for n in range(1000)]
    here = [t for t in ids if wire.partition_of(wire.trace_key(TENANT, t)) == NUMBER]
    first = Told(trace_id=here[0])
    alone.send(first("run.start"), first("run.end"))
    alone.wait(61.0)
    other = steps(alone.send(*Told(trace_id=here[1]).call(1)))

    assert [step.late for step in other] == [False, False]
    assert alone.join.late == 0


def test_steps_of_such_traces_have_ids_of_their_own(alone: Alone) -> None:
    """Also where a framework counts its calls from one in each trace."""
    ids = [f"{0:016x}{n:016x}" for n in range(1000)]
    here = [t for t in ids if wire.partition_of(wire.trace_key(TENANT, t)) == NUMBER]
    told = [steps(alone.send(*Told(trace_id=t).call(1)))[0] for t in here[:2]]

    assert told[0].step_id != told[1].step_id


def test_a_trace_with_two_agents_ends_with_the_second(alone: Alone) -> None:
    """One agent's end is not the other's."""
    first, second = Told(), Told(agent_id="billing")
    alone.send(first("run.start"))
    alone.send(second("run.start"), agent_id="billing")
    alone.send(first("run.end"))
    alone.wait(120.0)
    alive = len(alone.join.partition)
    alone.send(second("run.end"), agent_id="billing")
    alone.wait(60.0)

    assert (alive, len(alone.join.partition)) == (1, 0)


def test_a_trace_without_an_end_lives_for_a_day_of_silence(alone: Alone) -> None:
    """24 h after its last event, rounded up to the hour, it goes."""
    told = Told()
    alone.send(*told.call(1))
    alone.wait(80_000.0)
    alone.send(*told.call(2))
    alone.wait(86_399.0)
    alive = len(alone.join.partition)
    alone.wait(3_601.0)

    assert (alive, len(alone.join.partition)) == (1, 0)


# -- signs of life ---------------------------------------------------------------------------------


def test_runs_heartbeats_and_acknowledgements_are_facts(alone: Alone) -> None:
    """Each with what the agent's owner needs to decide."""
    told = Told()
    attrs = {
        "cmd_id": "cmd-1",
        "scope": "agent:acme/refunds",
        "term": 3,
        "epoch": 9,
        "state": "open",
    }
    start, inside, ack, end, outside = alone.send(
        told("run.start"), told("heartbeat"), told("control.applied", attrs=attrs),
        told("run.end", status="ok"), told("heartbeat"),
    )  # fmt: skip

    assert isinstance(start, Run)
    assert isinstance(end, Run)
    assert (start.phase, end.phase, end.status) == ("start", "end", "ok")
    assert isinstance(inside, Alive)
    assert isinstance(outside, Alive)
    assert (inside.in_run, outside.in_run) == (True, False)
    assert isinstance(ack, Ack)
    assert (ack.cmd_id, ack.scope, ack.term, ack.epoch, ack.state) == (
        "cmd-1", "agent:acme/refunds", 3, 9, "open",
    )  # fmt: skip


def test_an_odd_acknowledgement_is_read_as_far_as_it_goes(alone: Alone) -> None:
    """Types that nobody expects don't stop the worker; long texts are cut."""
    attrs = {"cmd_id": ["x"] * 999, "scope": {"a": 1}, "term": "7", "epoch": None, "state": 5}
    (ack,) = alone.send(Told()("control.applied", attrs=attrs))

    assert isinstance(ack, Ack)
    assert (len(ack.cmd_id), ack.term, ack.epoch, ack.state) == (256, 0, 0, "5")


def test_spooled_lines_are_marked(alone: Alone) -> None:
    """Whoever counts rates must know what comes out of a spool."""
    told = Told()
    facts = alone.send(told("run.start"), told("heartbeat"), *told.call(1), spooled=True)

    assert [getattr(fact, "spooled", None) for fact in facts] == [True] * 4


@pytest.mark.parametrize("skew", [-315_360_000, -3600, 3600, 315_360_000])
def test_skewed_clocks_change_nothing(skew: int) -> None:
    """Claimed times are data: but for them, what is told is the same, now and when time passes."""
    honest, skewed = Alone(), Alone()
    for alone, off in ((honest, 0), (skewed, skew * 1_000_000)):
        told = Told()
        lines = [told("run.start"), told("thought"), *told.call(1), told("run.end")]
        for n, event in enumerate(lines):
            event.emitted_at, event.event_id = event.emitted_at + off, event_id(10**9 + n)
        alone.send(*lines)
        alone.wait(60.0)

    def bare(alone: Alone) -> list[dict[str, object]]:
        times = ("emitted_at", "requested_at", "completed_at")
        return [
            {k: v for k, v in json.loads(line.value).items() if k not in times}
            for line in alone.said
        ]

    assert bare(honest) == bare(skewed)
    assert len(honest.join.partition) == len(skewed.join.partition) == 0


# -- bounds ----------------------------------------------------------------------------------------


def test_a_flood_leaves_a_bounded_state(alone: Alone) -> None:
    """Open calls, notes, processes, ids: whatever is sent, a trace keeps so much and no more."""
    for boot in range(PRODUCERS_MAX + 4):
        told = Told(boot_id=f"boot-{boot}")
        for n in range(OPEN_KEPT + 20):
            alone.send(told("thought"), told.call(1000 * boot + n)[0])
    trace = alone.join.partition.get(wire.trace_key(TENANT, TRACE))

    assert trace is not None
    assert len(trace.producers) == PRODUCERS_MAX
    assert len(trace.calls) == CALLS_KEPT
    assert len(trace.seen) == SEEN_KEPT
    assert max(len(p.actions) for p in trace.producers.values()) <= OPEN_KEPT
    assert max(len(p.notes) for p in trace.producers.values()) <= NOTES_KEPT


def test_finished_actions_are_forgotten_first(alone: Alone) -> None:
    """Of a hundred calls, the last eight may still be amended."""
    told = Told()
    for n in range(100):
        alone.send(*told.call(n))
    trace = alone.join.partition.get(wire.trace_key(TENANT, TRACE))

    assert trace is not None
    assert [len(p.actions) for p in trace.producers.values()] == [ACTIONS_KEPT]


def test_notes_go_with_their_action(alone: Alone) -> None:
    """What was thought for a call that is forgotten does not fall to the oldest that is kept."""
    told = Told()
    kept = 4 + ACTIONS_KEPT
    lines = [[told("thought"), told("retrieval"), *told.call(n)] for n in range(kept)]
    late = lines[-ACTIONS_KEPT][1]
    for group in lines:
        alone.send(*(event for event in group if event is not late))
    (amended,) = steps(alone.send(late))

    assert amended.request_id == lines[-ACTIONS_KEPT][2].event_id
    assert [ref.event_id for ref in amended.reasoning] == [lines[-ACTIONS_KEPT][0].event_id]
    assert [ref.event_id for ref in amended.context] == [late.event_id]


def test_ended_traces_are_remembered_for_a_while(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many as the limit says, the newest; who comes later than that begins anew."""
    monkeypatch.setattr("stream.join.join.ENDED_KEPT", 3)
    here = [
        trace for trace in (trace_id(n) for n in range(1, 200))
        if wire.partition_of(wire.trace_key(TENANT, trace)) == NUMBER
    ][:5]  # fmt: skip
    for trace in here:
        told = Told(trace_id=trace)
        alone.send(told("run.start"), told("run.end"))
        alone.wait(61.0)
    late = [steps(alone.send(*Told(trace_id=t).call(1)))[0].late for t in here]

    assert late == [False, False, True, True, True]
    assert len(alone.join.ended) == 3


def test_a_sketch_that_is_none_is_left_out(alone: Alone) -> None:
    """16 hex digits are kept; half a megabyte under that name is not carried from step to step."""
    told = Told()
    good = told("thought", sketches={"simhash": "0123456789abcdef"})
    long, odd = (
        told("thought", sketches={"simhash": "0" * 17}),
        told("plan", sketches={"simhash": 7}),
    )
    step = steps(alone.send(good, long, odd, told.call(1)[0]))[0]

    assert [ref.sketch for ref in step.reasoning] == ["0123456789abcdef", "", ""]


def test_traces_are_bounded() -> None:
    """Beyond the limit the trace applied longest ago goes."""
    join, now = Join(0, MASTER, traces_max=2), START
    here = [
        trace for trace in (f"{n:032x}" for n in range(1, 200))
        if wire.partition_of(wire.trace_key(TENANT, trace)) == 0
    ]  # fmt: skip
    for offset, trace in enumerate(here[:5]):
        join.apply(offset, now, *envelope([Told(trace_id=trace)("run.start")]))

    assert (len(join.partition), join.partition.evicted) == (2, 3)


def test_a_tick_or_an_unknown_kind_says_nothing(alone: Alone) -> None:
    """Only envelopes of events are read; they are proved, all else just makes time pass."""
    value = encode_event(Told().call(1)[0])

    for kind in (codec.TICK, codec.OWNER, b"nonsense", b""):
        assert alone.put([(wire.KIND, kind)], value) == []
    assert alone.said == []


def test_the_whole_pipe_reads_what_join_says() -> None:
    """Nothing that join writes is unreadable to detect."""
    pipe, told = Pipe(), Told()
    pipe.send(told("run.start"), told("heartbeat"), told("thought"), *told.call(1), told("run.end"))

    assert pipe.dead() == []
    assert [out for out in pipe.out if isinstance(out, Line) and out.topic == "agent.dlq.v1"] == []
