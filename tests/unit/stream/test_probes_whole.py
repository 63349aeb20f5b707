"""A probe from its file to its judgement: the SDK's own events through join and detect."""

from pathlib import Path
from typing import Any

import pytest

from tests.pipe import Pipe, signals
from tests.sdk import sdk
from tests.unit.stream.test_probing import ended, pipe_with
from tracefuse import Trace

EXPECT = (
    '{"set": "weekly"}\n{"id": "small", "task": "refund", "input": "Refund order 991.", "expect": '
    '{"tools": ["crm.find", "crm.pay"], "in_order": true, "never": ["mail.send"], '
    '"args": {"crm.find": {"order": 991}}, "decision_args": {"crm.pay": {"amount": 25}}, '
    '"output": "Refunded 25.00.", "max_calls": 2, "max_usd": 0.05}}'
)


def ran(folder: Path, order: int, amount: float, answer: str) -> Pipe:
    """One probe through an agent that finds such an order, pays so much and says so."""
    path = folder / "probes.jsonl"
    path.write_text(EXPECT, "utf-8")

    def agent(trace: Trace, task: Any) -> None:
        trace.input(task)
        with trace.llm("m1") as call:
            call.usage(900, 100, 0.01)
        with trace.tool("crm.find", {"order": order}):
            pass
        try:
            with trace.tool("crm.pay", {"amount": amount}):
                pytest.fail("it ran")
        finally:
            trace.output(answer)

    access = {"crm.find": "read", "crm.pay": "write"}
    with sdk(access=access, decision_args={"crm.pay": ("amount",)}) as sent:
        sent.fuse.gate.ready = True
        sent.fuse.probes(path, run=agent).run_all()
    pipe = pipe_with()
    pipe.send(*sent.events())
    return pipe


def test_a_probe_that_goes_as_written_is_silent(tmp_path: Path) -> None:
    """Hashes of arguments and answer meet those of the file; the write was denied and counts as called."""
    pipe = ran(tmp_path, order=991, amount=25.0, answer="Refunded 25.00.")

    assert ended(pipe).missed == []
    assert signals(pipe.out) == []


def test_a_probe_that_goes_otherwise_says_how(tmp_path: Path) -> None:
    """Each difference by its name, and never a value."""
    pipe = ran(tmp_path, order=992, amount=26.0, answer="Refunded 26.00.")
    (signal,) = signals(pipe.out)

    assert ended(pipe).missed == [
        ("arguments", "crm.find"), ("arguments", "crm.pay"), ("answer", ""),
    ]  # fmt: skip
    assert "`" not in signal.sentence and "26" not in signal.sentence
