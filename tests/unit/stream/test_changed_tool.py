"""A tool that describes itself otherwise, where no file has approved a description: through both cores."""

from typing import Any

import pytest

from ingest.records import Signal
from tests.pipe import Pipe, Told, registered, signals, trace_id
from tests.unit.stream.test_held_calls import FILE, asked, in_force, verdicts

APPROVED, CHANGED = "a" * 64, "b" * 64


def call(pipe: Pipe, told: Told, said: str, **more: Any) -> tuple[str, list[Signal]]:
    """The word on a held call of a tool that says this of itself, and what is found."""
    out = pipe.send(asked(told, tools_hash=said, **more))
    (verdict,) = verdicts(out)
    return verdict.word, [one for one in signals(out) if one.detector == "tool_changed"]


def test_a_changed_description_waits_for_a_person() -> None:
    """The first one seen counts; no text of either is told."""
    pipe = Pipe()
    told = in_force(pipe)
    before = [call(pipe, told, APPROVED) for _ in range(3)]
    word, [signal] = call(pipe, told, CHANGED)

    assert before == [("allow", [])] * 3
    assert word == "needs_approval"
    assert (signal.action, signal.severity, signal.tool) == ("step-up", "high", "crm.pay")
    assert signal.evidence["observed"] == "b" * 16
    assert signal.evidence["expected"]["descriptor"] == "a" * 16


@pytest.mark.parametrize(
    ("bundle", "version"), [("b2", ""), ("", "2")], ids=["bundle", "version of the tool"]
)
def test_a_released_version_may_change_it(bundle: str, version: str) -> None:
    """A new bundle of the agent, or a new version of the tool in its file."""
    pipe = Pipe()
    told = in_force(pipe)
    call(pipe, told, APPROVED)
    if version:
        tools = FILE["tools"] | {"crm.pay": FILE["tools"]["crm.pay"] | {"version": version}}
        pipe.tell(registered(**(FILE | {"tools": tools, "version": 2})))

    assert call(pipe, told, CHANGED, bundle=bundle) == ("allow", [])


def test_it_stays_changed_in_each_run_and_is_said_once() -> None:
    """Nobody gets used to it: the next run waits again, until somebody releases a version."""
    pipe = Pipe()
    first = in_force(pipe)
    call(pipe, first, APPROVED)
    told = [call(pipe, first, CHANGED) for _ in range(3)]
    again = call(pipe, Told(trace_id=trace_id(2)), CHANGED)
    right = call(pipe, Told(trace_id=trace_id(3)), APPROVED)

    assert [(word, len(said)) for word, said in told] == [
        ("needs_approval", 1), ("needs_approval", 0), ("needs_approval", 0),
    ]  # fmt: skip
    assert (again[0], len(again[1])) == ("needs_approval", 1)
    assert right == ("allow", [])
