"""Declared order through both cores: what is denied, what is only told, and what counts as done."""

from typing import Any

import pytest

from detectors.skipped_habit import WELL_MAX
from ingest.records import Signal
from stream.outputs import Output
from tests.pipe import Pipe, Told, registered, signals, trace_id
from tests.unit.stream.test_held_calls import answered, asked, verdicts

FILE: dict[str, Any] = {
    "owner": {"name": "Payments"},
    "tools": {
        "crm.find": {},
        "crm.verify": {},
        "crm.pay": {"access": "write", "requires": ["crm.verify"]},
        "crm.open": {"requires": ["crm.verify"]},
    },
}


def begun(**more: Any) -> tuple[Pipe, Told]:
    pipe = Pipe()
    pipe.tell(registered(**(FILE | more)))
    return pipe, Told()


def done(pipe: Pipe, told: Told, tool: str, status: str = "ok", **how: Any) -> list[Output]:
    """A call that does not wait; what its request led to."""
    request = asked(told, tool=tool, deadline_ms=0, attempt=0)
    out = pipe.send(request, **how)
    pipe.send(answered(told, request, status), **how)
    return out


def pay(pipe: Pipe, told: Told, **more: Any) -> tuple[str, str, list[Signal]]:
    """Word and gate of a payment that waits, and what is found."""
    request = asked(told, tool="crm.pay", **more)
    out = pipe.send(request)
    (verdict,) = verdicts(out)
    pipe.send(answered(told, request, "ok" if verdict.word == "allow" else "not_run"))
    return verdict.word, verdict.gate, found(out)


def found(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "skipped_step"]


def test_a_call_is_denied_until_its_step_has_gone_well() -> None:
    """This call, not the run and not the agent: once the step is done, the same call runs."""
    pipe, told = begun()
    word, gate, [signal] = pay(pipe, told, args_hash="same")
    done(pipe, told, "crm.verify")

    assert (word, gate) == ("deny", "order")
    assert (signal.action, signal.severity, signal.evidence_class) == ("block-call", "high", "rule")
    assert signal.sentence.startswith("`crm.pay` without `crm.verify`: ")
    assert pay(pipe, told, args_hash="same") == ("allow", "", [])


@pytest.mark.parametrize("status", ["error", "not_run"])
def test_a_step_that_failed_or_was_refused_is_not_done(status: str) -> None:
    """Nor is one that has only been asked for."""
    pipe, told = begun()
    done(pipe, told, "crm.verify", status)
    pipe.send(asked(told, tool="crm.verify", deadline_ms=0, attempt=0))

    assert pay(pipe, told)[:2] == ("deny", "order")


def test_a_step_of_another_run_does_not_count() -> None:
    """Each run has to do it."""
    pipe, told = begun()
    done(pipe, told, "crm.verify")

    assert pay(pipe, Told(trace_id=trace_id(2)))[:2] == ("deny", "order")


def test_a_step_that_comes_late_from_a_disk_counts() -> None:
    """It has gone well, whenever we hear of it."""
    pipe, told = begun()
    done(pipe, told, "crm.verify", spooled=True)

    assert pay(pipe, told)[0] == "allow"


def test_what_does_not_wait_is_told_once_a_run() -> None:
    """A read runs before anybody can say no: people hear of it, at the same severity."""
    pipe, told = begun()
    (signal,) = found(done(pipe, told, "crm.open"))

    assert (signal.action, signal.severity) == ("annotate", "high")
    assert found(done(pipe, told, "crm.open")) == []
    assert len(pay(pipe, told)[2]) == 1  # another tool of the run has its own word
    assert len(found(done(pipe, Told(trace_id=trace_id(2)), "crm.open"))) == 1


def test_a_detector_that_only_measures_denies_nothing() -> None:
    """The owner tries the order out before it counts."""
    pipe, told = begun(metrics_only=["skipped_step"])
    word, _, told_of = pay(pipe, told)

    assert (word, len(told_of)) == ("allow", 1)


def test_a_long_run_forgets_no_step_that_is_required() -> None:
    """Whatever other tools it has used before, and however many."""
    pipe, told = begun()
    for n in range(2 * WELL_MAX):
        done(pipe, told, f"x.{n}")
    done(pipe, told, "crm.verify")
    (run,) = next(iter(pipe.detects.values())).partition.open("acme/refunds").runs.values()

    assert pay(pipe, told)[0] == "allow"
    assert len(run.deeds.well) <= WELL_MAX + 2


def test_without_a_declaration_nothing_is_required() -> None:
    """The twin: the same calls, and a file that says nothing of their order."""
    tools = {
        name: {k: v for k, v in one.items() if k != "requires"}
        for name, one in FILE["tools"].items()
    }
    pipe, told = begun(tools=tools)

    assert pay(pipe, told) == ("allow", "", [])
    assert found(done(pipe, told, "crm.open")) == []


class Habits:
    """An agent whose runs verify before they pay, as nobody has declared."""

    def __init__(self, learnt: int = 210, **more: Any) -> None:
        tools = {name: {"access": one.get("access", "read")} for name, one in FILE["tools"].items()}
        self.pipe, _ = begun(tools=tools, **more)
        self.number = 0
        for _ in range(learnt):
            self.run("crm.verify", "crm.pay")

    def run(self, *tools: str, end: str = "ok", **how: Any) -> list[Output]:
        """One run; what its last request led to."""
        self.number += 1
        told, out = Told(trace_id=trace_id(self.number), boot_id=f"b{self.number}"), list[Output]()
        self.pipe.send(told("run.start"))
        for tool in tools:
            waits = {} if tool == "crm.pay" else {"deadline_ms": 0, "attempt": 0}
            request = asked(told, tool=tool, args_hash="same", **waits)
            out = self.pipe.send(request, **how)
            self.pipe.send(answered(told, request), **how)
        self.pipe.send(told("run.end", status=end))
        self.pipe.now += 1.0
        return out


def learnt(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "skipped_habit"]


def test_a_write_without_the_usual_step_waits_for_a_person() -> None:
    """With content off, from hashes and names alone; the usual run goes on."""
    habits = Habits()
    usual, rash = habits.run("crm.verify", "crm.pay"), habits.run("crm.find", "crm.pay")
    [signal] = learnt(rash)

    assert (learnt(usual), verdicts(usual)[0].word) == ([], "allow")
    assert (signal.action, signal.severity) == ("step-up", "medium")
    assert signal.sentence.startswith("`crm.pay` without `crm.verify`; 211 of 211 runs")
    assert verdicts(rash)[0].word == "needs_approval"


def test_a_read_without_the_usual_step_is_noted() -> None:
    """It stops nothing."""
    habits = Habits(learnt=0)
    for _ in range(210):
        habits.run("crm.verify", "crm.open")
    [signal] = learnt(habits.run("crm.find", "crm.open"))

    assert (signal.action, signal.severity) == ("annotate", "low")


@pytest.mark.parametrize("how", [{"end": "error"}, {"spooled": True}])
def test_runs_that_went_wrong_or_came_late_do_not_teach_it(how: dict[str, Any]) -> None:
    """Nor is one that came late judged: the order in which it called is not known."""
    habits = Habits()
    for _ in range(3):
        assert not learnt(habits.run("crm.find", "crm.pay", **how)) or "end" in how

    assert learnt(habits.run("crm.find", "crm.pay"))


def test_a_run_of_which_a_part_came_late_is_not_judged() -> None:
    """What is missing may lie on a disk."""
    habits, told = Habits(), Told(trace_id=trace_id(999))
    done(habits.pipe, told, "crm.find", spooled=True)

    assert not learnt(habits.pipe.send(asked(told, tool="crm.pay")))
