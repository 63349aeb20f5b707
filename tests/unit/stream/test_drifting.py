"""Runs of a task that drift are told to people, with what changed; a rollback is suggested where it fits."""

import pickle
from typing import Any

import pytest

from ingest.records import Run
from stream.agent.agent_state import TASKS_MAX, AgentState, RunState, TaskState, new_agent
from stream.agent.finding import Finding
from stream.agent.unpickle import loads
from stream.finding import drifting
from tests.pipe import Pipe, Told, commands, file, registered, signals, summaries, trace_id

USUAL, OTHER = ["find", "read"], ["find", "wipe", "read"]


def ended(agent: AgentState, calls: list[str], bundle: str = "b1", **more: Any) -> list[Finding]:
    """One run of the agent has ended."""
    run = RunState(agent.breaker, bundle=bundle, done=len(calls), task=more.pop("task", "refund"))
    run.walk.calls = list(calls)
    for name, value in more.items():
        setattr(run, name, value)
    fact = Run(
        tenant="acme",
        agent_id="refunds",
        trace_id="t",
        phase="end",
        event_id="e",
        emitted_at=0,
        status="ok",
    )
    return list(drifting.run_ended(agent, run, fact))


def agent(**bundles: Any) -> AgentState:
    one = new_agent("acme/refunds")
    one.file = file(bundles=bundles or {"stable": {"hash": "b1"}})
    return one


def drifted(one: AgentState, bundle: str = "b1", runs: int = 300, **more: Any) -> Finding | None:
    for _ in range(300):
        assert not ended(one, USUAL, **more)
    for _ in range(runs):
        found = ended(one, OTHER, bundle, **more)
        if found:
            return found[0]
    return None


def test_a_drift_after_a_new_version_suggests_a_rollback_and_names_the_part() -> None:
    """It began with the bundle; the parts that its owner declared say what changed."""
    parts = {"model": "m1", "prompt": "p1"}
    one = agent(stable={"hash": "b1", "parts": parts})
    for _ in range(300):
        ended(one, USUAL)
    one.file = file(bundles={"stable": {"hash": "b2", "parts": parts | {"prompt": "p2"}}})
    (found,) = next(filter(None, (ended(one, OTHER, "b2") for _ in range(200))))

    assert (found.action, found.severity, found.event) == ("rollback", "medium", None)
    assert found.evidence["changed"] == ["prompt"]
    assert "a rollback would take it back" in found.sentence
    assert found.sentence.endswith("Changed against its reference: prompt.")


def test_a_drift_of_the_same_version_only_annotates() -> None:
    """The twin: nothing changed that a rollback could take back."""
    found = drifted(agent())

    assert found is not None and found.action == "annotate"
    assert "wipe" in found.sentence and "rollback" not in found.sentence


def test_a_version_long_before_the_drift_is_not_blamed() -> None:
    """A hundred quiet runs of the new bundle lie between."""
    one = agent()
    for _ in range(300):
        ended(one, USUAL)
    for _ in range(100):
        assert not ended(one, USUAL, "b2")
    (found,) = next(filter(None, (ended(one, OTHER, "b2") for _ in range(200))))

    assert found.action == "annotate"


def test_runs_that_are_only_tried_do_not_count() -> None:
    """A canary, a shadow, a run that came late from a disk: the same runs, and no word."""
    for more in (
        {"bundle": "b2"}, {"bundle": "b1", "shadow_of": "t0"}, {"bundle": "b1", "gaps": True},
    ):  # fmt: skip
        one = agent(stable={"hash": "b1"}, canary={"hash": "b2", "share": 0.1})
        for _ in range(300):
            ended(one, USUAL)
        assert not any(ended(one, OTHER, **more) for _ in range(200))


def test_one_task_says_nothing_of_another() -> None:
    """Each has its own reference; beyond three they share one."""
    one = agent()
    for n in range(TASKS_MAX + 4):
        ended(one, USUAL, task=f"task-{n}")

    assert list(one.tasks) == ["task-0", "task-1", "task-2", ""]
    assert one.tasks[""].drift.n == 4


def test_an_expected_change_gets_a_new_reference() -> None:
    """What a person called so is normal from then on; a task that did not drift keeps its own."""
    one = agent()
    ended(one, USUAL, task="other")
    assert drifted(one) is not None
    drifting.accepted(one)

    assert one.tasks["refund"] == TaskState(drift=one.tasks["refund"].drift, version="b1")
    assert one.tasks["refund"].drift.n == 0
    assert one.tasks["other"].drift.n == 1


def test_a_restored_agent_goes_on_alike() -> None:
    """A checkpoint in the middle of a drift changes nothing, and costs at most 4 kB with all its tasks."""
    one, bare = agent(), len(pickle.dumps(agent()))
    for n in range(900):
        ended(one, USUAL, task=f"task-{n % 4}")
    for _ in range(3):
        ended(one, OTHER, task="task-0")
    again: AgentState = loads(pickle.dumps(one))

    assert len(pickle.dumps(one)) - bare <= 4_500
    for _ in range(30):
        here, there = ended(one, OTHER, task="task-0"), ended(again, OTHER, task="task-0")
        assert [f.evidence for f in here] == [f.evidence for f in there]
    assert one.tasks["task-0"].drift.alarms == again.tasks["task-0"].drift.alarms == 1


@pytest.mark.parametrize("rollout", [True, False])
def test_people_are_told_during_a_roll_out_and_nothing_is_stopped(rollout: bool) -> None:
    """Through join and detect: one signal, no command; an incident only where a roll-out waits for it."""
    tried = {"canary": {"hash": "b2", "share": 0.1}} if rollout else {}
    pipe = Pipe()
    pipe.tell(registered(owner={"name": "Payments"}, bundles={"stable": {"hash": "b1"}} | tried))
    out = []
    for n in range(260):
        told = Told(trace_id=trace_id(n), boot_id=f"b{n}")
        lines = [told("run.start", bundle="b1", task_type="refund")]
        for k, tool in enumerate(OTHER if n > 215 else USUAL):
            lines += told.call(
                k, tool=tool, result_hash=f"r{n}-{k}", bundle="b1", task_type="refund"
            )
        out += pipe.send(*lines, told("run.end", status="ok", bundle="b1"))
    (signal,) = [s for s in signals(out) if s.detector == "task_drift"]

    assert commands(out) == []
    assert (signal.action, signal.evidence_class) == ("annotate", "version")
    assert signal.evidence["rollout"] == ("b2" if rollout else "")
    told_of = [s.signal.signal_id for s in summaries(out) if s.signal.detector == "task_drift"]
    assert told_of == [signal.signal_id] * rollout
