"""The alarm record: whatever is found, its signal says what an engineer and an auditor ask."""

import json
import random
import re
from dataclasses import fields
from pathlib import Path

import pytest

from detectors import CATALOGUE, DETECTORS
from detectors.failures import ASI, ATLAS, FAILURES, WATCHED, Failure
from ingest.records import Signal, Step
from stream.agent.agent_state import new_agent
from stream.agent.finding import Finding
from stream.agent.saying import Saying
from stream.ranking import SEVERITIES
from stream.stopping.commanding import Commanding
from stream.stopping.withholding import Withholding
from tests.contract.test_detectors import CASES, play, stream
from tests.pipe import AGENT, START, TENANT, TRACE, VERIFIER, Pipe, Told, registered, signals

ROOT = Path(__file__).parents[2]


def found(detector: str) -> Signal:
    """What is said when a detector finds what it is there for."""
    one = DETECTORS[detector]()
    play(one, stream(detector, 1300))
    rng = random.Random(7)
    while not one.fires:
        one.update(*CASES[detector].odd(rng, 1300 + one.n))
    saying = Saying(0)
    saying.begin(7, START)
    step = Step(
        step_id="s", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE, span_id="x",
        action="tool", tool="crm.find", request_id="e-1", result_id="e-2",
    )  # fmt: skip
    agent = new_agent(f"{TENANT}/{AGENT}")
    told = Finding(detector, "Words.", one.evidence())
    Commanding(saying, VERIFIER, Withholding(saying)).found(agent, step, told)
    (signal,) = signals(saying.collected())
    return signal


@pytest.mark.parametrize("detector", sorted(CATALOGUE))
def test_each_signal_is_a_whole_alarm_record(detector: str) -> None:
    """Observed against expected, n, status, threshold, what it is made of, events, action, reasons, risks."""
    signal = found(detector)

    assert {"observed", "expected", "contributions"} <= set(signal.evidence)
    assert signal.evidence["expected"]["words"] and len(signal.evidence["expected"]) > 1
    assert 0 < len(signal.evidence["contributions"]) <= 3
    assert all({"feature", "share"} <= set(part) for part in signal.evidence["contributions"])
    assert signal.evidence["observed"] is not None
    assert signal.n > 0 and signal.status and signal.threshold == signal.evidence["threshold"]
    assert (signal.first_event, signal.last_event) == ("e-1", "e-2")
    assert signal.action and signal.severity and signal.sentence
    assert signal.why == FAILURES[detector].why
    assert set(signal.owasp) and set(signal.owasp) <= set(ASI)
    assert set(signal.atlas) and set(signal.atlas) <= set(ATLAS)
    assert 0 < signal.rank - SEVERITIES.index(signal.severity) < 1
    assert len(json.dumps(signal.evidence)) < 1500


def test_what_the_owner_finds_itself_is_one_too() -> None:
    """An agent without a file, a run without heartbeats, a stop that nobody confirms."""
    pipe, told = Pipe(), Told()
    pipe.send(told("run.start"), *told.call(1))
    pipe.tell(registered())
    for _ in range(4):
        pipe.send(*told.same())
    pipe.send(told("heartbeat"))
    pipe.wait(3.0)
    pipe.send(told("heartbeat"))
    pipe.wait(6.0)
    said = {signal.detector: signal for signal in signals(pipe.out)}

    assert {"registry", "unacknowledged", "silence", "exact_loop"} <= set(said)
    for signal in said.values():
        assert signal.evidence["observed"] is not None
        assert signal.evidence["expected"]["words"]
        assert signal.first_event and signal.last_event
        assert signal.why and signal.owasp and signal.atlas


def test_each_kind_of_failure_is_described() -> None:
    """All that detectors find, and all else that signals name, in whole sentences where it is read."""
    names = re.findall(
        r'detector"?[=:] ?"(\w+)"',
        "".join(path.read_text("utf-8") for path in (ROOT / "stream").rglob("*.py")),
    )

    assert set(CATALOGUE) <= set(FAILURES)
    assert set(names) - set(CATALOGUE) == set(WATCHED)
    for kind in [*FAILURES.values(), *WATCHED.values()]:
        assert all(getattr(kind, field.name) for field in fields(Failure))
        assert kind.definition.endswith(".") and kind.why.endswith(".")
        assert set(kind.owasp) <= set(ASI) and set(kind.atlas) <= set(ATLAS)
