"""Figures of a worker: what it read and wrote, counted once, by what it was."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from prometheus_client import REGISTRY

from ingest import codec
from ingest.records import DeadLetter, Incident, Signal, Step
from ingest.topics import CONTROL_LOG, DLQ, INBOX, INCIDENTS, QUARANTINE, SIGNALS
from stream.outputs import Line, Order, Output
from stream.worker import counting
from tracefuse import wire
from tracefuse.control import Command, Reason

Grown = Callable[..., float]


@dataclass
class Record:
    """A record as a worker has it."""

    headers: wire.Headers
    value: bytes
    timestamp: float = 0.0


@pytest.fixture
def grown() -> Grown:
    """How much a figure has grown since the test began."""
    before: dict[str, float] = {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
    }

    def since(name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(name, labels) or 0.0
        return value - before.get(name + str(sorted(labels.items())), 0.0)

    return since


def command(scope: str, state: str) -> Order:
    return Order(
        Command(cmd_id="c", scope=scope, author="auto", action="open", state=state,  # type: ignore[arg-type]
                epoch=1, reason=Reason(rule="r"))
    )  # fmt: skip


def signal(detector: str) -> Line:
    found = Signal(
        signal_id="s", tenant="acme", agent_id="a", detector=detector, evidence_class="rule",
        severity="high", action="open", sentence="", at=0.0,
    )  # fmt: skip
    return Line(SIGNALS, "acme/a", codec.SIGNALS, codec.encode(found))


def test_lines_are_counted_not_records(grown: Grown) -> None:
    """An envelope of three events counts three; a tick or an owner record none."""
    counting.read(
        [
            Record([(wire.KIND, codec.EVENTS)], b"{}\n{}\n{}"),
            Record([(wire.KIND, codec.TICK)], b"{}"),
        ]
    )

    assert grown("tracefuse_events_total") == 3


def test_outputs_are_counted_by_what_they_are(grown: Grown) -> None:
    """Steps, findings, commands, acknowledgements, incidents and what was set aside, each its own."""
    step = Step(
        step_id="s", phase="request", tenant="acme", agent_id="a", trace_id="t", span_id="s",
        action="tool",
    )  # fmt: skip
    dead = DeadLetter(
        topic=INBOX, partition=0, offset=0, line=0, reason="malformed", sha256="", raw=b""
    )
    incident = Incident(
        incident_id="i", tenant="acme", agent_id="a", severity="high", title="", sentence="",
        detector="d", action="open", signal_id="s", opened_at=0.0,
    )  # fmt: skip
    outputs: list[Output] = [
        Line(INBOX, "acme/a", codec.INBOX, codec.encode(step)),
        signal("exact_loop"),
        signal("unacknowledged"),
        command("run:acme/a/t", "open"),
        Line(CONTROL_LOG, "agent:acme/a", codec.ACKS, b"{}"),
        Line(INCIDENTS, "i", codec.INCIDENTS, codec.encode(incident)),
        Line(DLQ, "x", codec.DEAD, codec.encode(dead)),
        Line(QUARANTINE, "x", codec.DEAD, codec.encode(dead)),
    ]
    counting.written("detect", outputs, seconds=0.04)

    assert grown("tracefuse_steps_total") == 1
    assert grown("tracefuse_signals_total", detector="exact_loop", severity="high") == 1
    assert grown("tracefuse_missing_acknowledgements_total") == 1
    assert grown("tracefuse_commands_total", scope="run", state="open") == 1
    assert grown("tracefuse_acknowledgements_total") == 1
    assert grown("tracefuse_incidents_total", severity="high") == 1
    assert grown("tracefuse_dead_letters_total", stage="detect", reason="malformed") == 1
    assert grown("tracefuse_quarantined_records_total", reason="malformed") == 1
    assert grown("tracefuse_decision_seconds_count") == 1
    assert grown("tracefuse_decision_seconds_bucket", le="0.05") == 1


def test_a_clock_behind_the_brokers_is_no_negative_time(grown: Grown) -> None:
    """Two clocks may disagree by milliseconds; a duration never falls below nothing."""
    counting.written("detect", [command("agent:acme/a", "open")], seconds=-0.003)

    assert grown("tracefuse_decision_seconds_sum") == 0
