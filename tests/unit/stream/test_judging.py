"""Incidents judged by people, through the pure cores: whose word counts, and what is counted."""

from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.records import IncidentLabel, IncidentReview, IncidentReviewed, Label, Signal
from ingest.topics import APPROVALS, EVENTS
from stream.agent import agent_state, spoken
from stream.agent.agent_state import AgentState
from stream.detect.detect import Detect
from stream.detect.judging import record_key
from stream.outputs import Line, Output
from tests.pipe import (
    AGENT,
    AUTO,
    HUMAN,
    TENANT,
    Pipe,
    Told,
    registered,
    signals,
    summaries,
    trace_id,
)
from tracefuse import wire
from tracefuse.signing import CommandSigner

KEY = wire.agent_key(TENANT, AGENT)


def labels(out: list[Output]) -> list[IncidentLabel]:
    lines = [one for one in out if isinstance(one, Line) and one.topic == APPROVALS]
    found = [msgspec.json.decode(line.value, type=IncidentLabel | Label) for line in lines]
    return [one for one in found if isinstance(one, IncidentLabel)]


class Watched:
    """An agent with one alarm: a loop, of which its people were told."""

    def __init__(self) -> None:
        self.pipe, self.clock = Pipe(), 0
        self.pipe.tell(registered())
        self.alarm = self.loop(1)

    def loop(self, run: int) -> Signal:
        """A run that repeats itself until it is stopped; the alarm that people hear of."""
        told = Told(trace_id=trace_id(run))
        out = [one for _ in range(4) for one in self.pipe.send(*told.same())]
        return summaries(out)[-1].signal

    @property
    def agent(self) -> AgentState:
        found = next(iter(self.pipe.detects.values())).partition.get(KEY)
        assert found is not None
        return found

    def fact(self, signer: CommandSigner = HUMAN, **more: Any) -> IncidentReviewed:
        """A person's word, signed as the command line does; each later than the last."""
        self.clock += 1
        said: dict[str, Any] = {
            "incident_id": "inc-1", "signal_id": self.alarm.signal_id, "detector": "exact_loop",
            "label": "real", "by": "ann", "reason": "it never ended", "at": self.clock,
        }  # fmt: skip
        payload = codec.encode(IncidentReview(**(said | more)))
        return IncidentReviewed(
            record_id=f"inr-{self.clock}", tenant=TENANT, agent_id=AGENT, incident_id="inc-1",
            kid=signer.kid, sig=signer.sign(record_key(TENANT, AGENT, "inc-1"), payload),
            payload=payload,
        )  # fmt: skip

    def say(self, **more: Any) -> list[Output]:
        return self.pipe.tell(self.fact(**more))


def test_a_word_is_on_record_and_counted() -> None:
    """What was judged, by whom, why, with which key, and what the detector's counts are now."""
    watched = Watched()
    (found,) = labels(watched.say())

    assert (found.incident_id, found.signal_id) == ("inc-1", watched.alarm.signal_id)
    assert (found.detector, found.label, found.by) == ("exact_loop", "real", "ann")
    assert (found.reason, found.kid, found.said_at) == ("it never ended", HUMAN.kid, 1)
    assert (found.real, found.false, found.expected) == (1, 0, 0)
    assert watched.agent.labelled == {"exact_loop": (1, 0, 0)}


def test_the_newest_word_counts_once() -> None:
    """Who changes their mind, or contradicts another, moves the count and does not add to it."""
    watched = Watched()
    said = [watched.say(), watched.say(label="false"), watched.say(label="expected", by="bob")]
    counts = [(one.real, one.false, one.expected) for out in said for one in labels(out)]

    assert counts == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"signer": AUTO}, "not signed"),
        ({"signer": CommandSigner(HUMAN.kid, b"f" * 32)}, "not signed"),
        ({"signal_id": "sig-0.0.0.0"}, "no such alarm"),
        ({"detector": "cost_cap"}, "another alarm"),
        ({"incident_id": "inc-2"}, "another alarm"),
        ({"by": ""}, "names nobody"),
        ({"by": "a" * 257}, "names nobody"),
        ({"reason": ""}, "no reason"),
        ({"reason": "r" * 1001}, "no reason"),
        ({"label": "maybe"}, "can't be read"),
    ],
)
def test_a_word_that_does_not_count_says_why(more: dict[str, Any], why: str) -> None:
    """A worker's key, a forged one, another alarm, a text too long: nothing is counted, and it is told."""
    watched = Watched()
    out = watched.say(**more)
    (signal,) = signals(out)

    assert labels(out) == []
    assert watched.agent.labelled == {}
    assert (signal.detector, signal.action) == ("judgement", "log")
    assert why in signal.sentence


def test_an_old_word_is_not_said_again() -> None:
    """Who writes a true record into the inbox a second time takes no newer word back."""
    watched = Watched()
    old = watched.fact(label="false")
    watched.pipe.tell(old)
    watched.say(label="real")
    again = watched.pipe.tell(old)

    assert labels(again) == []
    assert watched.agent.labelled == {"exact_loop": (1, 0, 0)}


def test_the_number_of_judges_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more person than fits is refused; those who have spoken may speak again."""
    monkeypatch.setattr(spoken, "JUDGES_MAX", 2)
    watched = Watched()
    counted = [bool(labels(watched.say(by=who))) for who in ("ann", "bob", "eve", "ann")]

    assert counted == [True, True, False, True]


def test_a_loud_detector_forgets_its_own_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded, and a flood of one detector leaves the one alarm of another."""
    monkeypatch.setattr(agent_state, "ALARMS_MAX", 3)
    watched = Watched()
    agent = watched.agent
    agent.alarmed("rare", "cost_cap")
    for number in range(20):
        agent.alarmed(f"loud-{number}", "exact_loop")

    assert list(agent.raised) == ["rare", "loud-18", "loud-19"]


def test_labels_move_the_budget_of_a_detector_that_has_one() -> None:
    """False words shrink its part of the agent's alarms, a corrected one gives it back; rules have none."""
    watched = Watched()
    budget = watched.agent.alarms
    for name in ("step_vector", "latency_baseline"):
        budget.offer(name, "x", 4.0, "ticket", 1.0)
    before = budget.target("step_vector", "ticket")
    watched.agent.alarmed("odd", "step_vector")
    watched.say(signal_id="odd", detector="step_vector", label="false")
    less = budget.target("step_vector", "ticket")
    watched.say(signal_id="odd", detector="step_vector", label="real")
    watched.say()

    assert less < before < budget.target("step_vector", "ticket")
    assert "exact_loop" not in budget.accounts


def test_a_replay_counts_the_same() -> None:
    """Killed after any record and restored: the same labels, and the same counts, byte for byte."""
    watched = Watched()
    for run in range(2, 8):
        watched.alarm = watched.loop(run)
        watched.say(label="false" if run % 2 else "real")
        watched.say(label="expected", by="bob", incident_id="inc-1")
    number, first = next(iter(watched.pipe.detects.items()))
    log = next(found for (topic, _), found in watched.pipe.logs.items() if topic != EVENTS)
    said = [one.value for one in watched.pipe.out if isinstance(one, Line)]
    for cut in (3, len(log) // 2, len(log) - 1):
        core, out = Detect(number, first.verifier), list[Output]()
        for record in log[:cut]:
            out += core.apply(*record)
        snapshot = core.freeze()
        while core.partition.encode_some(snapshot):
            pass
        core = Detect(number, first.verifier)
        core.restore(snapshot.marker, {k: c for k, c in snapshot.cells.items() if c is not None})
        for record in log[cut:]:
            out += core.apply(*record)
        restored = core.partition.get(KEY)

        assert [one.value for one in out if isinstance(one, Line)] == said
        assert restored is not None
        assert restored.labelled == watched.agent.labelled == {"exact_loop": (0, 0, 6)}
