"""Declared order through both cores: what is denied, what is only told, and what counts as done."""

from typing import Any

import pytest

from ingest.records import Signal
from stream.outputs import Output
from stream.preceding import WELL_MAX
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
    assert len(run.well) <= WELL_MAX + 2


def test_without_a_declaration_nothing_is_required() -> None:
    """The twin: the same calls, and a file that says nothing of their order."""
    tools = {
        name: {k: v for k, v in one.items() if k != "requires"}
        for name, one in FILE["tools"].items()
    }
    pipe, told = begun(tools=tools)

    assert pay(pipe, told) == ("allow", "", [])
    assert found(done(pipe, told, "crm.open")) == []
