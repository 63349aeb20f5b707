"""First times through both cores, with content off: what waits, what is noted, what a rule may ask."""

from typing import Any

import pytest

from ingest.records import Signal
from stream.outputs import Output
from tests.pipe import Pipe, Told, registered, signals, trace_id
from tests.unit.stream.test_held_calls import answered, asked, verdicts
from tracefuse.events import Fingerprint

FILE: dict[str, Any] = {
    "owner": {"name": "Data"},
    "tools": {
        "db.read": {}, "db.list": {}, "db.write": {"access": "write"}, "db.erase": {"access": "write"},
    },
    "metrics_only": ["sequence_surprise", "skipped_habit"],
}  # fmt: skip
FORM, OTHER = "a" * 16, "b" * 16


def host(name: int) -> Fingerprint:
    return Fingerprint(f"{name:016x}", "host", "to", 0, 9)


class Days:
    """An agent that reads and writes at one place, fifty times a day."""

    def __init__(self, learnt: int = 600, **more: Any) -> None:
        self.pipe, self.runs = Pipe(), 0
        self.pipe.tell(registered(**(FILE | more)))
        for i in range(learnt):
            self.call(("db.read", "db.write")[i % 2])

    def call(self, tool: str, form: str = FORM, place: int = 1, **more: Any) -> list[Output]:
        """One run of one call; what its request led to."""
        self.runs += 1
        self.pipe.now += 1728.0
        told = Told(trace_id=trace_id(self.runs), boot_id=f"b{self.runs}")
        waits = (
            {} if FILE["tools"].get(tool, {}).get("access") else {"deadline_ms": 0, "attempt": 0}
        )
        self.pipe.send(told("run.start"))
        how = {
            "sketches": {"arguments": form},
            "fingerprints": [host(place)],
            "decision_args": {"n": 1},
        }
        request = asked(told, tool=tool, **(waits | how | more))
        out = self.pipe.send(request)
        ran = all(one.word == "allow" for one in verdicts(out))
        self.pipe.send(
            answered(told, request, "ok" if ran else "not_run"), told("run.end", status="ok")
        )
        return out


def found(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "first_time"]


@pytest.mark.parametrize(
    "call", [{"tool": "db.erase"}, {"tool": "db.write", "form": OTHER}, {"tool": "db.write", "place": 2}]
)  # fmt: skip
def test_a_new_write_waits_until_it_has_run(call: dict[str, Any]) -> None:
    """Another tool, arguments of another form, another host; the usual write goes on."""
    days = Days()
    usual = days.call("db.write")
    days.pipe.now += 86_400.0
    new = days.call(**call)
    again = days.call(**call)
    [signal] = found(new)

    assert (found(usual), verdicts(usual)[0].word) == ([], "allow")
    assert (signal.action, signal.severity, signal.evidence_class) == (
        "step-up",
        "medium",
        "statistical",
    )
    assert [verdicts(one)[0].word for one in (new, again)] == ["needs_approval"] * 2


def test_a_new_read_is_noted_once() -> None:
    """At the lowest severity; nobody is asked."""
    days = Days()
    [signal] = found(days.call("db.list"))

    assert (signal.action, signal.severity) == ("annotate", "info")
    assert signal.sentence == "First call of `db.list` by this agent in 12 days and 601 calls."
    assert found(days.call("db.list")) == []


def test_a_young_agent_is_left_alone() -> None:
    """Nothing is new where everything is."""
    days = Days(learnt=60)

    assert found(days.call("db.erase")) == []


RULE = {"name": "new", "when": "context.first_time", "approvers": ["ann"]}


def test_a_rule_may_ask_of_what_is_new() -> None:
    """Until it has run, and whether or not the tool says what it is; what has run is not new."""
    days = Days(learnt=10)
    days.pipe.tell(registered(**(FILE | {"version": 2, "approvals": [RULE]})))
    new = [days.call("db.erase", tools_hash="c" * 64) for _ in range(2)]

    assert [verdicts(one)[0].gate for one in new] == ["approvals"] * 2
    assert verdicts(days.call("db.write"))[0].word == "allow"
