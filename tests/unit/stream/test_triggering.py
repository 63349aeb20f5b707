"""A planted trigger: orders of ordinary values, and one that always brings a rare write; both cores."""

from typing import Any

import pytest

from ingest.records import Signal
from stream.outputs import Answer
from tests.pipe import AGENT, TENANT, Pipe, registered, signals, trace_id
from tracefuse.drafts import Draft, Run
from tracefuse.evidence import Identity, Witness

NOTE, PAY, READ = "crm.note", "bank.pay", "crm.find"
FILE: dict[str, Any] = {
    "owner": {"name": "Support"}, "held": ["irreversible"],
    "tools": {NOTE: {"access": "write"}, PAY: {"access": "irreversible"}, READ: {"access": "read"}},
}  # fmt: skip
TRIGGER = "desk-7731@partner.example"


class Agent:
    """An agent whose orders name somebody, and who takes notes and, once in a hundred runs, pays."""

    def __init__(self) -> None:
        self.pipe, self.seq, self.runs = Pipe(), 0, 0
        self.pipe.tell(registered(AGENT, **FILE))
        who = Identity(tenant=TENANT, agent_id=AGENT, environment="dev", bundle="", boot_id="b1")
        self.witness = Witness(who, b"k" * 32)

    def run(self, name: str, tool: str, case: str = "", **args: object) -> tuple[str, list[Signal]]:
        """One run for somebody: its verdict, if the write is held, and what is said of triggers."""
        self.runs += 1
        run, call = Run(trace_id(self.runs)), f"c{self.runs}"
        number = case or f"case-{self.runs:05d}x"
        text = f"{name} asks about {number}."
        out = []
        for event, tool_name, body in (
            ("run.start", "", None), ("input.user", "", text), ("tool.request", READ, {"case": number}),
            ("tool.result", READ, {"state": "open"}), ("tool.request", tool, args or {"text": "looked"}),
            ("tool.result", tool, {"ok": True}), ("run.end", "", None),
        ):  # fmt: skip
            self.seq += 1
            draft = Draft(
                event, run, f"{self.seq:016x}", 1_795_000_000_000_000 + self.seq, tool=tool_name,
                body=body, call_id=f"{call}{tool_name}" if tool_name else "",
            )  # fmt: skip
            if event == "run.end":
                draft.extra = {"status": "ok"}
            made = self.witness.event(draft, self.seq)
            if event == "tool.request" and tool_name == PAY:
                made.attempt, made.deadline_ms = 1, 1000
            out += self.pipe.send(made)
            self.pipe.now += 1.0
        words = [one.verdict.word for one in out if isinstance(one, Answer)]
        return "".join(words), [one for one in signals(out) if one.detector == "trigger_pair"]

    def history(self) -> None:
        """400 runs, of 30 people; a payment in each hundredth."""
        for n in range(400):
            assert not self.run(f"user-{n % 30}@customer.example", PAY if n % 100 == 99 else NOTE)[
                1
            ]


@pytest.fixture(scope="module")
def told() -> Agent:
    agent = Agent()
    agent.history()
    for _ in range(7):
        agent.run(TRIGGER, PAY, to="account-91827")
    return agent


def test_a_planted_trigger_waits_for_a_person(told: Agent) -> None:
    """After some runs the payment that it brings is held; the sentence says how often, and no value."""
    word, (signal,) = told.run(TRIGGER, PAY, to="account-91827")

    assert word == "needs_approval"
    assert (signal.action, signal.severity, signal.tool) == ("step-up", "high", PAY)
    assert (
        "`bank.pay` was asked for in 6 of 6 runs whose order holds one certain" in signal.sentence
    )
    assert TRIGGER not in repr(signal)


def test_who_does_not_name_it_may_pay(told: Agent) -> None:
    """The same payment for somebody else, and a note for the trigger's own."""
    assert told.run("user-3@customer.example", PAY, to="account-91827") == ("allow", [])
    assert told.run(TRIGGER, NOTE)[1] == []


def test_the_same_order_again_is_no_further_witness() -> None:
    """A task that is repeated word for word, once a month, and its rare write: nothing to ask about."""
    agent = Agent()
    agent.history()
    found = [agent.run(TRIGGER, PAY, to="account-91827", case="case-70000x") for _ in range(12)]

    assert [said for _, said in found] == [[]] * 12


def test_a_value_that_the_call_acts_on_is_no_trigger() -> None:
    """The twin: who is named in the order is paid, as the order says."""
    agent = Agent()
    agent.history()
    found = [agent.run(TRIGGER, PAY, to=TRIGGER) for _ in range(12)]

    assert [said for _, said in found] == [[]] * 12
