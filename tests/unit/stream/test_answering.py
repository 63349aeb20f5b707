"""What an answer names and its run has met nowhere: content off, through the real evidence and both cores."""

from typing import Any

import msgspec
import pytest

from ingest.records import Signal
from stream.agent.agent_state import TASKS_MAX, new_agent
from stream.join.support import MET_KEPT, Support
from stream.outputs import Output
from tests.pipe import AGENT, TENANT, Pipe, commands, registered, signals, summaries, trace_id
from tracefuse.drafts import Draft, Run
from tracefuse.events import Event, Fingerprint
from tracefuse.evidence import Identity, Witness

FIND = "crm.find"
HEALTHY = 130  # answers: beyond the shadow


class Agent:
    """Runs that look something up and answer; texts become evidence as the SDK makes it."""

    def __init__(self, **file: Any) -> None:
        self.pipe, self.runs, self.seq = Pipe(), 0, 0
        self.pipe.tell(registered(tools={FIND: {"access": "read"}}, **file))
        who = Identity(tenant=TENANT, agent_id=AGENT, environment="dev", bundle="", boot_id="b1")
        self.witness = Witness(who, b"k" * 32)

    def event(self, name: str, body: object = None, **more: Any) -> Event:
        self.seq += 1
        span, at = f"{self.seq:016x}", 1_795_000_000_000_000 + self.seq
        return self.witness.event(Draft(name, self.run, span, at, body=body, **more), self.seq)

    def say(self, name: str, body: object = None, **more: Any) -> list[Output]:
        return self.pipe.send(self.event(name, body, **more))

    def begin(self, asked: str = "Where is order 4711991?", task: str = "orders") -> None:
        self.runs += 1
        self.pipe.now += 60.0
        self.run = Run(trace_id(self.runs), task_type=task)
        self.say("run.start")
        self.say("input.user", asked)

    def look(self, found: object, **args: object) -> None:
        call = f"c{self.seq}"
        self.say("tool.request", args or {"n": 1}, tool=FIND, call_id=call)
        self.say("tool.result", found, tool=FIND, call_id=call, extra={"status": "ok"})

    def answers(self, text: str) -> list[Signal]:
        self.say("output", text)
        out = self.say("run.end", extra={"status": "ok"})
        return [one for one in signals(out) if one.detector == "unsupported_claim"]

    def works(self, runs: int = HEALTHY) -> None:
        for n in range(runs):
            self.begin()
            self.look({"parcel": f"PX-{880000 + n}", "paid": 25.5})
            assert self.answers(f"Order 4711991 is in parcel PX-{880000 + n}, paid 25.50.") == []


@pytest.fixture
def worked() -> Agent:
    made = Agent()
    made.works()
    return made


def test_an_id_that_nobody_told_is_annotated(worked: Agent) -> None:
    """The parcel of the answer stands in no result; the sentence tells its class, never the value."""
    worked.begin()
    worked.look({"parcel": "PX-770001"})
    (signal,) = worked.answers("Order 4711991 is in parcel PX-999123; ask ann@carrier.example.")

    assert (signal.action, signal.severity, signal.evidence_class) == (
        "annotate",
        "medium",
        "statistical",
    )
    assert (signal.evidence["ids"], signal.evidence["without_call"]) == (2, False)
    assert "2 ids or addresses" in signal.sentence and "`orders`" in signal.sentence
    assert "999123" not in str(signal) and "carrier" not in str(signal)
    assert (commands(worked.pipe.out), summaries(worked.pipe.out)) == ([], [])


@pytest.mark.parametrize("where", ["input", "result", "retrieval", "state", "argument", "system"])
def test_what_was_met_anywhere_supports_it(worked: Agent, where: str) -> None:
    """An order, a result, a document, the state of the world, what the agent itself has sent off."""
    parcel = "PX-665544"
    worked.begin(f"Where is {parcel}?" if where == "input" else "Where is it?")
    if where in ("retrieval", "system"):
        worked.say("retrieval" if where == "retrieval" else "input.system", f"See {parcel}.")
    if where == "state":
        worked.say("state.before", {"parcel": parcel})
    worked.look(
        parcel if where == "result" else "none", **({"p": parcel} if where == "argument" else {})
    )

    assert worked.answers(f"It is {parcel}.") == []


def test_the_model_supports_nothing(worked: Agent) -> None:
    """What it said before is no evidence for what it says now."""
    worked.begin("Where is it?")
    worked.look("none")
    worked.say("llm.response", "It is PX-665544 or PX-665545.", call_id="m1", extra={"model": "m"})

    assert len(worked.answers("It is PX-665544 or PX-665545.")) == 1


def test_an_answer_without_a_look_is_told_where_runs_look(worked: Agent) -> None:
    """Each of the agent's runs has called a tool; this one knows it all by itself."""
    worked.begin()
    (signal,) = worked.answers("It will come soon.")

    assert (signal.action, signal.severity) == ("annotate", "low")
    assert signal.sentence.startswith("The answer was given without any call of a tool; ")


def test_who_computes_sums_every_day_is_left_alone() -> None:
    """It is held against its own answers: a total that nobody told is normal here."""
    agent = Agent()
    for n in range(HEALTHY + 20):
        agent.begin()
        agent.look({"paid": [10.25 + n, 20.5]})

        assert agent.answers(f"In all {30.75 + n} USD.") == []


def test_what_can_not_be_known_is_not_said(worked: Agent) -> None:
    """More was met than is kept: the value may have been among it."""
    worked.begin("Where is it?")
    for n in range(MET_KEPT + 1):
        worked.look("none", parcel=f"QX-{100000 + n}")

    assert worked.answers("It is PX-112233 and PX-112234.") == []


def test_its_state_is_bounded() -> None:
    """0.5 kB of a trace at most, and a few tasks of an agent."""
    support = Support()
    worked = Agent()
    worked.begin()
    for n in range(50):
        event = worked.event("tool.request", {"n": n}, tool=FIND, call_id=f"c{n}")
        event.fingerprints = [
            Fingerprint(f"{n:08x}{k:08x}", "id", "", 0, 0) for k in range(1, 200)
        ]  # fmt: skip
        support.know(event)
    agent = new_agent(f"{TENANT}/{AGENT}")
    for n in range(20):
        agent.answer(f"task-{n}")

    assert support.more
    assert len(msgspec.msgpack.encode(support)) <= 640
    assert len(agent.answers) <= TASKS_MAX + 1
