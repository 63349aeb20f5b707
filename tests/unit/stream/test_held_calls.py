"""Held calls through the pure cores: each gate alone, one verdict for each asking, exact budgets."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from ingest.records import Asked, Step
from stream.agent.breaker import State
from stream.agent.budgets import OVERDUE_MAX
from stream.holding.policy import GATES
from stream.outputs import Answer, Output
from tests.pipe import AGENT, TENANT, Pipe, Told, registered, signals, trace_id
from tracefuse.verdicts import Verdict

TOOL = "crm.pay"
FILE: dict[str, Any] = {
    "owner": {"name": "Payments"},
    "tools": {
        TOOL: {"access": "write", "max_usd": 0.01, "decision_args": ["amount"]},
        "crm.find": {"access": "write"},
    },
}
_numbers = count(1)


def asked(told: Told, call: int = 0, **more: Any) -> Any:
    """The request of a call that waits one second."""
    call = call or next(_numbers)
    whole = {"call_id": f"call-{call}", "tool": TOOL, "args_hash": f"args-{call}"}
    return told("tool.request", **(whole | {"attempt": 1, "deadline_ms": 1000} | more))


def answered(told: Told, request: Any, status: str = "ok", **more: Any) -> Any:
    """What became of it."""
    said = {"call_id": request.call_id, "tool": request.tool, "args_hash": request.args_hash}
    return told("tool.result", status=status, result_hash=f"r-{next(_numbers)}", **(said | more))


def verdicts(out: list[Output]) -> list[Verdict]:
    return [output.verdict for output in out if isinstance(output, Answer)]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def in_force(pipe: Pipe, **more: Any) -> Told:
    """An agent with a file, and its process."""
    pipe.tell(registered(**(FILE | more)))
    return Told()


def test_an_allowed_call_is_allowed(pipe: Pipe) -> None:
    """The control of all that follows: without an offence every gate passes."""
    told = in_force(pipe)
    (verdict,) = verdicts(pipe.send(asked(told)))

    assert (verdict.word, verdict.gate, verdict.boot_id) == ("allow", "", told.boot_id)


def test_a_request_that_does_not_wait_gets_no_verdict(pipe: Pipe) -> None:
    """Nor one that waited on a disk: its agent has long gone on."""
    told = in_force(pipe)

    assert verdicts(pipe.send(asked(told, deadline_ms=0))) == []
    assert verdicts(pipe.send(asked(told), spooled=True)) == []


# What only this gate denies: settings of the file, fields of the request, calls before it.
OFFENCES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "environment": ({"environment": "staging"}, {}),
    "allowlist": ({}, {"tool": "crm.drop"}),
    "descriptor": (
        {"tools": {TOOL: {"access": "write", "descriptor": "a" * 64}}},
        {"tools_hash": "b" * 64},
    ),
    "version": ({"bundles": {"stable": {"hash": "b1"}}}, {"bundle": "b2"}),
    "autonomy": ({"autonomy": 0}, {}),
    "limits": ({"limits": {"write": {"per_day": 1}}}, {}),
    "concurrency": ({"concurrency": 1}, {}),
    "order": (
        {"tools": {TOOL: {"access": "write", "requires": ["crm.find"]}, "crm.find": {}}},
        {},
    ),
    "budgets": ({"budgets": {"run_usd": 0.015}}, {}),
    "approvals": (
        {"approvals": [{"name": "large", "when": "args.amount > 10", "approvers": ["ann"]}]},
        {"decision_args": {"amount": 11}},
    ),
}


@pytest.mark.parametrize("gate", OFFENCES)
def test_each_gate_denies_alone(gate: str) -> None:
    """What the gate looks at is the only offence: with it denied by that gate, without it allowed."""
    settings, fields = OFFENCES[gate]
    pipe, control = Pipe(), Pipe()
    told, free = in_force(pipe, **settings), in_force(control)
    if gate in ("limits", "concurrency", "budgets"):  # the second call is one too many
        assert [v.word for v in verdicts(pipe.send(asked(told)))] == ["allow"]
        assert [v.word for v in verdicts(control.send(asked(free)))] == ["allow"]
    (verdict,) = verdicts(pipe.send(asked(told, **fields)))
    without = {} if gate == "allowlist" else fields
    (other,) = verdicts(control.send(asked(free, **without)))

    # A rate that is exceeded opens the agent's breaker, which then answers first.
    assert verdict.gate == ("stopped" if gate == "limits" else gate)
    assert verdict.word == ("needs_approval" if gate == "approvals" else "deny")
    assert verdict.reason
    assert other.word == "allow"


def test_the_gate_of_limits_denies_where_no_breaker_is_asked(pipe: Pipe) -> None:
    """The gate by itself: a count above the cap, with all breakers closed."""
    told = in_force(pipe)
    pipe.send(asked(told))
    pipe.send(asked(told))
    agent = _agent(pipe)
    pipe.tell(registered(**FILE, version=2, limits={"write": {"per_minute": 1}}))
    step = _step(told)

    assert GATES["limits"](agent, step, pipe.now) is not None
    pipe.tell(registered(**FILE, version=3, limits={"write": {"per_minute": 2}}))
    assert GATES["limits"](_agent(pipe), step, pipe.now) is None


def test_a_call_that_failed_is_repeated_so_often_and_no_more(pipe: Pipe) -> None:
    """The gate of retries counts failures of the same call in a row; another call is free."""
    told = in_force(pipe, retries=1)
    for _ in range(2):
        request = asked(told, args_hash="same")
        assert [v.word for v in verdicts(pipe.send(request))] == ["allow"]
        pipe.send(answered(told, request, "error", error_type="Timeout"))
    (third,) = verdicts(pipe.send(asked(told, args_hash="same")))
    (other,) = verdicts(pipe.send(asked(told, args_hash="other")))

    assert (third.word, third.gate) == ("deny", "retries")
    assert other.word == "allow"


def test_agents_below_each_other_end_at_the_depth(pipe: Pipe) -> None:
    """Depth counts who called whom, outside the agents: a third one below is one too many."""
    chain = [Told("one"), Told("two"), Told("three")]
    for told in chain:
        pipe.tell(registered(**FILE, agent=told.agent_id, depth=2))
    parent, said = "", []
    for told in chain:
        request = asked(told, parent_span_id=parent)
        said += [v.gate or v.word for v in verdicts(pipe.send(request, agent_id=told.agent_id))]
        parent = request.span_id
    (beside,) = verdicts(
        pipe.send(asked(Told("one", boot_id="b2"), parent_span_id=parent), agent_id="one")
    )

    assert said == ["allow", "allow", "depth"]
    assert beside.word == "allow"  # it stands where it stood at its first event


def test_a_run_that_lasts_too_long_gets_no_more(pipe: Pipe) -> None:
    """By the broker's time from its first step; another run begins anew."""
    told, other = in_force(pipe, run_timeout_s=30), Told(trace_id=trace_id(7), boot_id="b2")
    (first,) = verdicts(pipe.send(asked(told)))
    pipe.wait(31.0)
    (late,) = verdicts(pipe.send(asked(told)))
    (fresh,) = verdicts(pipe.send(asked(other)))

    assert (first.word, late.gate, fresh.word) == ("allow", "timeout", "allow")


@pytest.mark.parametrize(("word", "expected"), [("ask", "needs_approval"), ("deny", "deny")])
def test_what_was_found_in_the_run_asks_or_denies(word: str, expected: str) -> None:
    """A warning of a detector that the file names; another run of the same agent is free."""
    pipe, control = Pipe(), Pipe()
    told, free = in_force(pipe, signals={"exact_loop": word}), in_force(control)
    for each, process in ((pipe, told), (control, free)):
        for _ in range(3):  # the third time warns
            each.send(*process.same(tool="crm.find"))
    (verdict,) = verdicts(pipe.send(asked(told)))
    (other,) = verdicts(control.send(asked(free)))
    (elsewhere,) = verdicts(pipe.send(asked(Told(trace_id=trace_id(7), boot_id="b2"))))

    assert (verdict.word, verdict.gate) == (expected, "signals")
    assert "exact_loop" in verdict.reason
    assert (other.word, elsewhere.word) == ("allow", "allow")


@pytest.mark.parametrize("measured", [False, True])
def test_a_detector_that_only_measures_holds_no_call_back(pipe: Pipe, measured: bool) -> None:
    """What it found is on record; the same detector, not so declared, asks a person."""
    told = in_force(
        pipe, signals={"exact_loop": "ask"}, metrics_only=["exact_loop"] if measured else []
    )
    found = [signal for _ in range(3) for signal in signals(pipe.send(*told.same(tool="crm.find")))]
    (verdict,) = verdicts(pipe.send(asked(told)))

    assert [signal.detector for signal in found] == ["exact_loop"]
    assert verdict.word == ("allow" if measured else "needs_approval")


def test_what_a_detector_of_another_build_has_asked_for_still_asks(pipe: Pipe) -> None:
    """A run goes on across an upgrade; a name that nobody knows any more ends no worker."""
    told = in_force(pipe)
    pipe.send(asked(told))
    _agent(pipe).runs[told.trace_id].signals["long_gone"] = "annotate"
    (noted,) = verdicts(pipe.send(asked(told)))
    _agent(pipe).runs[told.trace_id].signals["long_gone"] = "step-up"
    (asks,) = verdicts(pipe.send(asked(told)))

    assert (noted.word, asks.word) == ("allow", "needs_approval")


def test_a_weaker_word_takes_no_step_up_back(pipe: Pipe) -> None:
    """A detector that asked for a person in this run, and later only annotates."""
    told = in_force(pipe)
    pipe.send(asked(told))
    _agent(pipe).runs[told.trace_id].signals["exact_loop"] = "step-up"
    for _ in range(3):  # the third time warns: annotate
        pipe.send(*told.same(tool="crm.find"))
    (verdict,) = verdicts(pipe.send(asked(told)))

    assert (verdict.word, verdict.gate) == ("needs_approval", "signals")


def test_sensitive_data_in_the_arguments_can_be_a_rule(pipe: Pipe) -> None:
    """What the emitter found in them, by class; never the value."""
    rule = {
        "name": "personal", "when": '"email" in context.data_classes', "approvers": ["ann"],
    }  # fmt: skip
    told = in_force(pipe, approvals=[rule])
    (verdict,) = verdicts(pipe.send(asked(told, data_classes=["email"])))
    (other,) = verdicts(pipe.send(asked(told)))

    assert (verdict.word, verdict.gate, other.word) == ("needs_approval", "approvals", "allow")


def test_a_stopped_agent_gets_no_verdict_but_deny(pipe: Pipe) -> None:
    """Its gate in the SDK may be old; the owner's breaker is not."""
    told = in_force(pipe)
    for _ in range(4):
        pipe.send(*told.same(tool="crm.find"))
    (verdict,) = verdicts(pipe.send(asked(told)))

    assert (verdict.word, verdict.gate) == ("deny", "stopped")


def test_a_scope_on_trial_has_three_places(pipe: Pipe) -> None:
    """Counted by the owner, over all processes: who finds none is denied, until the three went well."""
    told = in_force(pipe)
    scope = f"tool:{TENANT}/{AGENT}/{TOOL}"
    pipe.send(asked(told))
    agent = _agent(pipe)
    breaker = agent.tool(TOOL).breaker
    agent.tools[TOOL].breaker = replace(breaker, state=State.HALF_OPEN, epoch=9)
    requests = [asked(Told(trace_id=trace_id(n), boot_id=f"b{n}")) for n in range(10, 14)]
    said = [verdicts(pipe.send(request))[0] for request in requests]
    for n, request in zip(range(10, 13), requests, strict=False):
        pipe.send(answered(Told(trace_id=trace_id(n), boot_id=f"c{n}"), request))
    (after,) = verdicts(pipe.send(asked(Told(trace_id=trace_id(20), boot_id="b20"))))

    assert [(one.word, one.gate) for one in said] == [("allow", "")] * 3 + [("deny", "stopped")]
    assert scope in said[3].reason
    assert (_agent(pipe).tools[TOOL].breaker.state, after.word) == (State.CLOSED, "allow")


def test_without_a_file_nothing_is_written(pipe: Pipe) -> None:
    """An agent that nobody has registered is denied what it asks for."""
    (verdict,) = verdicts(pipe.send(asked(Told())))

    assert (verdict.word, verdict.gate) == ("deny", "allowlist")


def test_without_an_owner_it_only_reads(pipe: Pipe) -> None:
    """A file without an owner, or past its review day."""
    told = in_force(pipe, owner={})
    (written,) = verdicts(pipe.send(asked(told)))
    pipe.tell(registered(**FILE, version=2, review_by="2020-01-01"))
    (late,) = verdicts(pipe.send(asked(told)))

    assert (written.gate, late.gate) == ("allowlist", "allowlist")
    assert "owner" in written.reason


def test_an_asking_has_one_verdict(pipe: Pipe) -> None:
    """Asked again it is the same word, and nothing is set aside twice; another attempt is judged anew."""
    told = in_force(pipe, budgets={"run_usd": 0.01})
    (first,) = verdicts(pipe.send(asked(told, 7)))
    (again,) = verdicts(pipe.send(asked(told, 7)))
    (next_attempt,) = verdicts(pipe.send(asked(told, 7, attempt=2)))

    assert first == again
    assert first.word == "allow"
    assert (next_attempt.word, next_attempt.gate) == ("deny", "budgets")


def test_a_call_that_ran_and_asks_again_under_its_id_is_another_call(pipe: Pipe) -> None:
    """Some frameworks use ids again: the first leave is no leave for the second, nor is its budget."""
    told = in_force(pipe, budgets={"run_usd": 0.01})
    first = asked(told, 7)
    (allowed,) = verdicts(pipe.send(first))
    pipe.send(answered(told, first))
    (again,) = verdicts(pipe.send(asked(told, 7)))

    assert (allowed.word, again.word, again.gate) == ("allow", "deny", "budgets")


def test_a_request_that_came_too_late_reserves_nothing(pipe: Pipe) -> None:
    """Its agent has gone on without an answer: the budget belongs to the next call."""
    told = in_force(pipe, budgets={"run_usd": 0.01})
    late = asked(told, deadline_ms=1000)
    step = _step(told, late, at=pipe.now - 1.5)
    (verdict,) = verdicts(pipe.tell(step))
    (after,) = verdicts(pipe.send(asked(told)))

    assert (verdict.word, verdict.gate) == ("deny", "deadline")
    assert after.word == "allow"


def test_a_budget_for_fifty_allows_fifty(pipe: Pipe) -> None:
    """Two hundred at once: what is set aside for calls under way counts like what was spent."""
    told = in_force(pipe, budgets={"run_usd": 0.50})
    out = [output for _ in range(40) for output in pipe.send(*(asked(told) for _ in range(5)))]
    words = [verdict.word for verdict in verdicts(out)]

    assert (words.count("allow"), words.count("deny")) == (50, 150)


def test_what_was_set_aside_comes_back(pipe: Pipe) -> None:
    """By a call that did not run, by one that cost less, and by one that was never heard of again."""
    told = in_force(pipe, budgets={"run_usd": 0.02}, timeout_s=30)
    one, two = asked(told), asked(told)
    assert [v.word for v in verdicts(pipe.send(one, two))] == ["allow", "allow"]
    assert [v.word for v in verdicts(pipe.send(asked(told)))] == ["deny"]
    pipe.send(answered(told, one, "not_run"))
    pipe.send(answered(told, two, cost_usd=0.001))
    three, four = asked(told), asked(told)
    assert [v.word for v in verdicts(pipe.send(three, four))] == ["allow", "deny"]
    pipe.wait(31)

    assert [v.word for v in verdicts(pipe.send(asked(told)))] == ["allow"]


def test_who_tells_no_cost_has_spent_what_was_set_aside(pipe: Pipe) -> None:
    """Else an agent that is silent about money would have no budget at all."""
    told = in_force(pipe, budgets={"run_usd": 0.02})
    words = []
    for _ in range(4):
        request = asked(told)
        words += [verdict.word for verdict in verdicts(pipe.send(request))]
        pipe.send(answered(told, request, "ok" if words[-1] == "allow" else "not_run"))

    assert words == ["allow", "allow", "deny", "deny"]


def test_a_call_that_outlasts_its_time_is_not_free(pipe: Pipe) -> None:
    """What was set aside comes back by time, and counts after all once the call ends without a cost."""
    told = in_force(pipe, budgets={"run_usd": 0.02}, timeout_s=30)
    words = []
    for _ in range(4):
        request = asked(told)
        words += [verdict.word for verdict in verdicts(pipe.send(request))]
        pipe.wait(31)
        pipe.send(answered(told, request, "ok" if words[-1] == "allow" else "not_run"))

    assert words == ["allow", "allow", "deny", "deny"]
    assert not _agent(pipe).ledger.overdue


def test_what_outlasts_its_time_and_did_not_run_costs_nothing(pipe: Pipe) -> None:
    """The control; and of calls that are never heard of again only the newest are remembered."""
    told = in_force(pipe, budgets={"run_usd": 0.02}, timeout_s=1)
    for _ in range(OVERDUE_MAX + 10):
        request = asked(told)
        assert [verdict.word for verdict in verdicts(pipe.send(request))] == ["allow"]
        pipe.jump(1.2)
    assert len(_agent(pipe).ledger.overdue) == OVERDUE_MAX
    pipe.send(answered(told, request, "not_run"))

    assert len(_agent(pipe).ledger.overdue) == OVERDUE_MAX - 1
    assert _agent(pipe).ledger.runs == {}


def test_budgets_of_an_hour_and_a_day_span_runs(pipe: Pipe) -> None:
    """What another run has spent counts; with the next hour it does not."""
    told = in_force(pipe, budgets={"hour_usd": 0.02})
    other = Told(trace_id=trace_id(2), boot_id="b2")
    request = asked(other)
    pipe.send(request)
    pipe.send(answered(other, request, cost_usd=0.015))
    (refused,) = verdicts(pipe.send(asked(told)))
    pipe.jump(3600)
    (later,) = verdicts(pipe.send(asked(told)))

    assert (refused.word, refused.reason) == (
        "deny",
        "the budget hour_usd has no room for this call",
    )
    assert later.word == "allow"


def test_a_refusal_is_a_signal_with_every_gate_before_it(pipe: Pipe) -> None:
    """The evidence names what passed and what did not, for whoever asks why."""
    told = in_force(pipe, autonomy=0)
    (signal,) = [s for s in signals(pipe.send(asked(told))) if s.detector == "policy"]

    assert signal.action == "block-call"
    assert signal.evidence["gate"] == "autonomy"
    assert signal.evidence["passed"] == [
        "stopped",
        "environment",
        "allowlist",
        "descriptor",
        "version",
    ]


def test_the_table_of_gates_is_complete() -> None:
    """Each gate has a test above in which it alone denies."""
    assert set(GATES) == set(OFFENCES) | {"stopped", "retries", "depth", "timeout", "signals"}


def _agent(pipe: Pipe) -> Any:
    key = f"{TENANT}/{AGENT}"
    return next(d.partition.get(key) for d in pipe.detects.values() if d.partition.get(key))


def _step(told: Told, event: Any = None, **more: Any) -> Step:
    """A request as join would write it."""
    event = event or asked(told)
    whole: dict[str, Any] = {
        "src": ("agent.events.v1", 99, 0, 0, 0), "step_id": event.call_id, "phase": "request",
        "tenant": TENANT, "agent_id": AGENT, "trace_id": told.trace_id, "span_id": event.span_id,
        "call_id": event.call_id, "action": "tool", "tool": event.tool, "at": 0.0,
        "held": Asked(1, 1000, told.boot_id, f"{TENANT}/{AGENT}/1"),
    }  # fmt: skip
    return Step(**(whole | more))
