"""What the detectors say of one step, and what they are not even asked."""

from typing import Any

import pytest

from detectors import CATALOGUE
from ingest.records import Loop, Step
from stream.agent.agent_state import AgentState, new_agent
from stream.agent.breaker import Slowed, State, Tripped, step
from stream.agent.finding import Finding
from stream.finding.findings import on_complete, on_request
from tests.pipe import AGENT, START, TENANT, TRACE
from tests.pipe import file as declared


def agent(**file: Any) -> AgentState:
    state = new_agent(f"{TENANT}/{AGENT}")
    state.file, state.at = declared(**file), START
    return state


def call(**more: Any) -> Step:
    said: dict[str, Any] = {
        "step_id": "s", "phase": "complete", "tenant": TENANT, "agent_id": AGENT, "span_id": "x",
        "trace_id": TRACE, "action": "tool", "tool": "crm.find", "status": "ok", "at": START,
        "duration_us": 1000,
    }  # fmt: skip
    return Step(**(said | more))


def found(state: AgentState, **more: Any) -> list[Finding]:
    return list(on_complete(state, call(**more)))


@pytest.mark.parametrize(
    ("loop", "events"),
    [
        (None, []), (Loop(1, 2, 2), []), (Loop(1, 3, 3), [None]),
        (Loop(1, 4, 4), [Tripped(auto_close=False)]), (Loop(0, 0, 4), [Tripped(auto_close=False)]),
        (Loop(4, 3, 4), [Tripped(auto_close=False)]), (Loop(1, 9, 9), [Tripped(auto_close=False)]),
    ],
)  # fmt: skip
def test_repetition_by_the_greater_of_its_numbers(loop: Loop | None, events: list[Any]) -> None:
    """Three times warn, four stop, however they were counted."""
    findings = [f for f in found(agent(), loop=loop) if f.detector == "exact_loop"]

    assert [f.event for f in findings] == events
    assert [f.warning for f in findings] == [event is None for event in events]


def test_the_order_of_findings_is_fixed() -> None:
    """A step that breaks several rules says so in the same order in every replay."""
    state = agent(budgets={"run_usd": 1.0, "day_usd": 1.0})
    for _ in range(4):
        found(state, status="error")
    last = found(state, status="error", cost_usd=2.0, loop=Loop(1, 4, 4))

    assert [(f.detector, f.target) for f in last] == [
        ("exact_loop", "run"), ("cost_cap", "run"), ("cost_cap", "agent"), ("error_rate", "tool"),
    ]  # fmt: skip


def test_each_finding_bears_what_a_signal_needs() -> None:
    """Words, a threshold, what was observed, and an action and severity of the catalogue."""
    state = agent(budgets={"run_usd": 1.0})
    for _ in range(4):
        found(state, status="error")
    for finding in found(state, status="error", cost_usd=2.0, loop=Loop(1, 4, 4)):
        entry = CATALOGUE[finding.detector]

        assert finding.sentence
        assert {"threshold", "observed", "score"} <= set(finding.evidence)
        assert finding.action in (entry.action, "open")
        assert finding.severity == entry.severity


def test_what_is_asked_of_a_language_model() -> None:
    """Its failures and cost count for the agent; it is no tool, and has no access class."""
    state = agent(limits={"write": {"per_minute": 1}})
    for _ in range(30):
        assert list(on_request(state, call(action="llm", tool="", phase="request"))) == []
    failing = [found(state, action="llm", tool="", status="error") for _ in range(20)]

    assert [f.target for f in failing[19]] == ["agent"]
    assert state.tools == {}
    assert failing[18] == []


@pytest.mark.parametrize("action", ["handoff", "memory.read", "memory.write"])
def test_handoffs_and_memory_have_no_outcome(action: str) -> None:
    """They cost, and that is all that is judged."""
    state = agent(budgets={"run_usd": 1.0})
    quiet = [f for _ in range(30) for f in found(state, action=action, status="error")]

    assert quiet == []
    assert [f.detector for f in found(state, action=action, cost_usd=2.0)] == ["cost_cap"]


def test_an_open_tool_is_not_judged() -> None:
    """What still comes in from before its trip tells nothing new."""
    state = agent()
    for _ in range(4):
        found(state, status="error")
    tool = state.tools["crm.find"]
    tool.breaker = step(tool.breaker, Tripped(auto_close=True), START, 1)

    assert tool.breaker.state is State.OPEN
    assert found(state, status="error") == []


@pytest.mark.parametrize(("status", "slow"), [("error", False), ("ok", True)])
def test_a_failed_call_has_no_latency(status: str, slow: bool) -> None:
    """A timeout is an error, and would else count twice; the same durations of good calls count."""
    state = agent(tools={"crm.find": {"latency_ms": 1}})
    findings = [
        f for n in range(80)
        for f in found(state, status=("ok", status)[n % 2], duration_us=(100, 9_000_000)[n % 2])
    ]  # fmt: skip

    assert (Slowed() in [f.event for f in findings]) == slow


def test_without_a_declaration_there_is_no_rule() -> None:
    """Latency, caps and budgets come from the owner; nobody else knows them."""
    state = agent()
    quiet = [f for _ in range(60) for f in found(state, duration_us=60_000_000, cost_usd=1000.0)]
    asked = [f for _ in range(500) for f in on_request(state, call(phase="request"))]

    assert quiet == []
    assert asked == []


def test_statistics_only_annotate() -> None:
    """No score of what is merely odd opens, throttles or stops anything."""
    state = agent()
    calls = [{"duration_us": 100_000 + 1000 * (n % 9), "input_tokens": 900} for n in range(2500)]
    odd = [{"duration_us": 9_000_000, "input_tokens": 90_000, "cost_usd": 5.0} for _ in range(40)]
    findings = [f for more in calls + odd for f in found(state, **more)]

    assert {f.detector for f in findings} >= {"latency_baseline", "step_vector"}
    assert {f.event for f in findings} == {None}
    assert {f.action for f in findings} == {"annotate"}


def test_what_did_not_run_is_not_asked() -> None:
    """Not even what it would have cost."""
    state = agent(budgets={"run_usd": 1.0})

    assert found(state, status="not_run", cost_usd=99.0, loop=Loop(1, 9, 9)) == []
    assert state.runs == {}
