"""The pipeline's own records: small on the wire, strict when read, tied to the catalogues."""

import json
from typing import Any, get_args

import msgspec
import pytest

from detectors import CATALOGUE
from ingest import codec
from ingest.records import (
    Ack,
    Alive,
    Belief,
    Braked,
    DeadLetter,
    Decided,
    Fact,
    Incident,
    IncidentReviewed,
    Ordered,
    Prior,
    Ref,
    Registered,
    Reviewed,
    Run,
    RunTotals,
    Signal,
    Step,
    Summary,
)

SRC = ("agent.events.v1", 3, 17, 4, 1)
WHO: dict[str, Any] = {"src": SRC, "tenant": "acme", "agent_id": "refunds", "trace_id": "t"}
FACTS: list[Fact] = [
    Step(**WHO, step_id="s", phase="complete", span_id="x", action="tool", confidence=0.5,
         decision_args={"amount": 25.0}, reasoning=[Ref("e", "thought", "00ff")],
         run=RunTotals(steps=1)),
    Run(**WHO, phase="end", event_id="e", emitted_at=1, run=RunTotals(cost_micro=7)),
    Alive(**WHO, event_id="e", emitted_at=1, in_run=False, spooled=True),
    Ack(**WHO, event_id="e", emitted_at=1, cmd_id="c", scope="agent:acme/refunds", epoch=9),
    Registered(record_id="r", tenant="acme", agent_id="refunds", kid="registry/1", sig=b"\xff\x00",
               payload=b'{"agent":"refunds"}'),
    Ordered(record_id="h", tenant="acme", agent_id="refunds", kid="human/1", sig=b"\xff\x00",
            payload=b'{"v":1}'),
    Decided(record_id="d", tenant="acme", agent_id="refunds", approval_id="apr-1", kid="human/1",
            sig=b"\xff\x00", payload=b'{"approved":true}'),
    Reviewed(record_id="r", tenant="acme", agent_id="refunds", trace_id="t", call_id="c",
             kid="human/1", sig=b"\xff\x00", payload=b'{"label":"wrong"}'),
    IncidentReviewed(record_id="i", tenant="acme", agent_id="refunds", incident_id="inc-1",
                     kid="human/1", sig=b"\xff\x00", payload=b'{"label":"false"}'),
    Braked(src=SRC, tenant="acme", until=1_795_000_300.123),
    Prior(src=SRC, tenant="acme", agent_id="refunds", tool="crm.find", peers="Payments",
          failed=Belief(0.021, 50.0, siblings=7), seconds=Belief(-1.2, 5.5, 0.04, 7)),
]  # fmt: skip


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_facts_come_back_exactly(fact: Fact) -> None:
    """Source mark, bytes and floats included: a replay compares them byte for byte."""
    again = codec.fact(codec.encode(fact))

    assert again == fact
    assert codec.encode(again) == codec.encode(fact)


def test_each_fact_has_its_example() -> None:
    """No kind of fact without a line above."""
    assert {type(fact) for fact in FACTS} == set(get_args(Fact))


def test_kinds_are_told_by_their_tag() -> None:
    """Every kind has a name of its own on the wire."""
    tags = [json.loads(codec.encode(fact))["type"] for fact in FACTS]

    assert len(set(tags)) == len(tags)


def test_what_says_nothing_is_left_out() -> None:
    """A quiet heartbeat is a short line."""
    alive = Alive(**WHO, event_id="e", emitted_at=1)

    assert set(json.loads(codec.encode(alive))) == {
        "type", "src", "tenant", "agent_id", "trace_id", "event_id", "emitted_at",
    }  # fmt: skip


def test_lists_of_one_step_are_not_those_of_another() -> None:
    """Defaults are copied: what is noted for one step must not appear in the next."""
    one, other = FACTS[0], Step(**WHO, step_id="o", phase="request", span_id="x", action="tool")
    assert isinstance(one, Step)
    other.reasoning.append(Ref("mine", "plan"))
    third = Step(**WHO, step_id="p", phase="request", span_id="x", action="tool")

    assert third.reasoning == []
    assert one.reasoning == [Ref("e", "thought", "00ff")]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_signals_can_say_what_the_catalogue_says(name: str) -> None:
    """Classes and severities of each detector are words of the record."""
    entry = CATALOGUE[name]
    signal = Signal(
        signal_id="s", tenant="acme", agent_id="refunds", detector=name, sentence="", at=1.0,
        evidence_class=entry.evidence_class,  # type: ignore[arg-type]
        severity=entry.severity, action=entry.action,  # type: ignore[arg-type]
    )  # fmt: skip

    assert msgspec.json.decode(codec.encode(signal), type=Signal) == signal
    for severity in filter(None, (entry.severity, entry.warn_severity)):
        assert severity in get_args(Signal.__annotations__["severity"])


def test_a_dead_letter_keeps_any_bytes() -> None:
    """Bytes that are no text travel as base64 and come back."""
    raw = bytes(range(256))
    letter = DeadLetter(
        topic="t", partition=0, offset=1, line=2, reason="malformed", sha256="", raw=raw
    )

    assert msgspec.json.decode(codec.encode(letter), type=DeadLetter).raw == raw


def test_a_summary_carries_its_signal_whole() -> None:
    """Correlate decides from it alone; an incident has room for what it says."""
    signal = Signal(
        signal_id="s", tenant="acme", agent_id="refunds", detector="exact_loop", sentence="again",
        at=1.5, evidence_class="rule", severity="high", action="stop-run", evidence={"n": [1, 2.5]},
    )  # fmt: skip
    summary = Summary(src=SRC, signal=signal, owner="Payments", routes=["alertmanager"])

    assert msgspec.json.decode(codec.encode(summary), type=Summary) == summary
    assert set(Incident.__struct_fields__) >= {"owner", "routes", "sentence", "severity", "cmd_id"}
