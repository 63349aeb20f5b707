"""What an agent says it did against what it did: content off, through the real evidence and both cores."""

import pickle
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from ingest.records import Signal, Step
from stream.agent.agent_state import new_agent
from stream.join.claims import CLAIMED_MAX, CLAIMS_KEPT, DEEDS_KEPT, TOOLS_MAX, Conduct
from stream.outputs import Answer, Output
from tests.pipe import (
    AGENT,
    TENANT,
    TRACE,
    Pipe,
    Told,
    commands,
    registered,
    signals,
    summaries,
    trace_id,
)
from tracefuse.drafts import Draft, Run
from tracefuse.events import Event
from tracefuse.evidence import Identity, Witness

REFUND, MAIL, FIND = "crm.refund", "mail.send", "crm.find"
FILE: dict[str, Any] = {
    "owner": {"name": "Refunds"},
    "tools": {REFUND: {"access": "write"}, MAIL: {"access": "irreversible"}, FIND: {"access": "read"}},
}  # fmt: skip
PAID = {"status": "paid"}


class Agent:
    """One process of an agent, whose values become evidence as the SDK makes it."""

    def __init__(
        self, pipe: Pipe | None = None, agent_id: str = AGENT, boot: str = "b1", **file: Any
    ) -> None:
        self.pipe = pipe or Pipe()
        self.pipe.tell(registered(agent_id, **(FILE | file)))
        self.run, self.seq = Run(TRACE), 0
        who = Identity(tenant=TENANT, agent_id=agent_id, environment="dev", bundle="", boot_id=boot)
        self.witness = Witness(who, b"k" * 32)

    def begin(self, number: int = 0) -> list[Output]:
        if number:
            self.run = Run(trace_id(number))
        return self.say("run.start")

    def say(self, name: str, body: object = None, **more: Any) -> list[Output]:
        return self.pipe.send(self.event(name, body, **more))

    def event(self, name: str, body: object = None, **more: Any) -> Event:
        self.seq += 1
        span, at = f"{self.seq:016x}", 1_795_000_000_000_000 + self.seq
        return self.witness.event(Draft(name, self.run, span, at, body=body, **more), self.seq)

    def call(
        self, tool: str = REFUND, args: object = None, result: object = PAID, status: str = "ok",
        call: str = "",
    ) -> list[Output]:  # fmt: skip
        call = call or f"c{self.seq}"
        out = self.say("tool.request", args or {"n": self.seq}, tool=tool, call_id=call)
        answered = None if status != "ok" else result
        extra = {"status": status, "error_type": "" if status == "ok" else "Timeout"}
        return out + self.say("tool.result", answered, tool=tool, call_id=call, extra=extra)

    def claim(self, tool: str = REFUND, status: str = "ok", **more: Any) -> None:
        attrs = {name: more.pop(name) for name in ("times", "lost") if name in more}
        self.say("claim", extra={"tool": tool, "status": status, "attrs": attrs, **more})

    def end(self, **attrs: Any) -> list[Signal]:
        return told(self.say("run.end", extra={"status": "ok", "attrs": attrs}))


def told(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "divergence"]


@pytest.fixture
def agent() -> Agent:
    made = Agent()
    made.begin()
    return made


def records(signal: Signal) -> dict[str, Mapping[str, Any]]:
    return {one["tool"]: one for one in signal.evidence["records"]}


# -- healthy runs ------------------------------------------------------------------------------------


def test_a_true_report_is_silent(agent: Agent) -> None:
    """Each write is claimed, in any order, with or without its details, and so are some reads."""
    refund = {"order": 1, "amount": 25.0}
    agent.call(args=refund)
    agent.call(args={"order": 2, "amount": 5.0})
    agent.call(MAIL, call="m1")
    agent.call(FIND)
    agent.call(FIND)
    agent.call(status="error")
    agent.claim(args={"amount": 25, "order": 1}, answer=PAID)
    agent.claim()
    agent.claim(MAIL, call_id="m1")
    agent.claim(MAIL, call_id="m1")
    agent.claim(FIND)
    agent.claim(status="error")

    assert agent.end() == []


def test_who_claims_nothing_is_not_judged(agent: Agent) -> None:
    """Reports are the agent's choice; a run without one has hidden nothing."""
    agent.call()
    agent.call(MAIL, status="error")

    assert agent.end() == []


def test_a_retry_that_went_well_is_one_success(agent: Agent) -> None:
    """Failed tries before it, and a try that was refused under the same call id, are no lie."""
    agent.call(status="error")
    agent.call(status="not_run", call="again")
    agent.call(call="again")
    agent.claim(times=1)

    assert agent.end() == []


# -- lies --------------------------------------------------------------------------------------------


def test_both_sides_are_told(agent: Agent) -> None:
    """Three refunds are claimed, two were executed; the owner of the agent is called."""
    agent.call()
    agent.call()
    agent.claim(times=3)
    (signal,) = agent.end()

    assert (signal.severity, signal.action, signal.evidence["observed"]) == (
        "high", "stop-run", "not_executed",
    )  # fmt: skip
    assert signal.sentence == (
        "What the run says it did is not what was done: `crm.refund` 3 claimed, 2 done (1 never made)."
    )
    assert [one.signal.signal_id for one in summaries(agent.pipe.out)] == [signal.signal_id]
    assert commands(agent.pipe.out) == []  # nothing is left to stop


def test_a_failed_call_that_is_told_as_done(agent: Agent) -> None:
    """False success: by the tool, by the very call, and of a call that was refused."""
    agent.call(status="error", call="c-1")
    agent.call(MAIL, status="not_run")
    agent.claim(call_id="c-1")
    agent.claim(MAIL)
    (signal,) = agent.end()

    assert (signal.severity, signal.evidence["observed"]) == ("high", "false_success")
    assert {name: one["false"] for name, one in records(signal).items()} == {REFUND: 1, MAIL: 1}


def test_a_good_call_does_not_cover_a_bad_one(agent: Agent) -> None:
    """A claim that names its arguments is held against the call that had them."""
    agent.call(args={"order": 1}, status="error")
    agent.call(args={"order": 2})
    agent.claim(args={"order": 1})
    agent.claim(args={"order": 2})
    (signal,) = agent.end()

    assert signal.evidence["observed"] == "false_success"


def test_a_wrong_claim_takes_no_call_from_a_right_one(agent: Agent) -> None:
    """Whichever comes first: what fits wholly is settled before what does not."""
    agent.call(args={"order": 2})
    agent.claim(args={"order": 1})
    agent.claim(args={"order": 2})
    (signal,) = agent.end()

    assert records(signal)[REFUND]["missing"] == 1
    assert "args" not in records(signal)[REFUND]


def test_a_hidden_write_is_critical_where_writes_are_claimed(agent: Agent) -> None:
    """The refund is told, the mail is not."""
    agent.call()
    agent.call(MAIL)
    agent.claim()
    (signal,) = agent.end()

    assert (signal.severity, signal.evidence["observed"]) == ("critical", "unclaimed_write")
    assert records(signal).keys() == {REFUND, MAIL}
    assert len(summaries(agent.pipe.out)) == 1


def test_an_agent_that_never_told_its_writes_hides_none(agent: Agent) -> None:
    """It reports what it looked up; that it also writes is annotated, until it claims a write once."""
    agent.call()
    agent.call(FIND)
    agent.claim(FIND)
    (first,) = agent.end()
    agent.begin(2)
    agent.call()
    agent.claim()
    assert agent.end() == []
    agent.begin(3)
    agent.call()
    agent.call(FIND)
    agent.claim(FIND)
    (third,) = agent.end()

    assert (first.severity, first.action) == ("medium", "annotate")
    assert third.severity == "critical"


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        ({"args": {"order": 9}}, "arguments"),
        ({"answer": {"status": "cancelled"}}, "result"),
        ({"status": "error"}, "status"),
    ],
)
def test_smaller_differences_are_annotated(agent: Agent, claim: dict[str, Any], kind: str) -> None:
    """Other arguments, another result, a call that is told as failed and was not: people may look."""
    agent.call(args={"order": 1})
    agent.claim(**claim)
    (signal,) = agent.end()

    assert (signal.severity, signal.action, signal.evidence["observed"]) == (
        "medium", "annotate", kind,
    )  # fmt: skip
    assert summaries(agent.pipe.out) == []


def test_reads_are_counted_less_strictly(agent: Agent) -> None:
    """Who looked twice and says three times has miscounted; who never looked has made it up."""
    agent.call(FIND)
    agent.claim(FIND, times=2)
    (miscounted,) = agent.end()
    agent.begin(2)
    agent.claim(FIND)
    (made_up,) = agent.end()

    assert (miscounted.evidence["observed"], miscounted.action) == ("count", "annotate")
    assert (made_up.evidence["observed"], made_up.severity) == ("not_executed", "high")


# -- within the run ----------------------------------------------------------------------------------


def test_a_lie_stops_the_run_before_its_next_call(agent: Agent) -> None:
    """A failed refund is told as done; the mail that would tell the customer does not run."""
    agent.call(status="error")
    agent.claim()
    event = agent.event("tool.request", {"n": 1}, tool=MAIL, call_id="m1")
    event.attempt, event.deadline_ms = 1, 1000
    out = agent.pipe.send(event)
    (signal,) = told(out)

    assert (signal.action, signal.severity) == ("stop-run", "high")
    assert [command.scope for command in commands(out)] == [f"run:{TENANT}/{AGENT}/{TRACE}"]
    assert [one.verdict.word for one in out if isinstance(one, Answer)] == ["deny"]
    assert agent.end() == []  # it was told


def test_what_is_not_claimed_yet_is_not_hidden(agent: Agent) -> None:
    """While a run goes on, what it has not told is left to its end."""
    agent.call()
    agent.call(MAIL)
    agent.claim()
    out = agent.call(FIND)
    agent.claim(MAIL)

    assert told(out) == []
    assert agent.end() == []


# -- what explains a difference ----------------------------------------------------------------------


def test_lost_events_soften_it(agent: Agent) -> None:
    """The process says that it dropped events: the record may be what is wrong, so nobody is woken."""
    agent.claim()
    (signal,) = agent.end(lost=2)

    assert (signal.severity, signal.action) == ("medium", "annotate")
    assert signal.evidence["lost"] == 2
    assert "2 events of its process were lost" in signal.sentence
    assert summaries(agent.pipe.out) == []


def test_lost_events_stop_no_run(agent: Agent) -> None:
    """A claim carries the count too, so a run is not stopped for a gap in the record."""
    agent.claim(lost=1)

    assert commands(agent.call()) == []


def test_a_call_under_way_may_be_the_one(agent: Agent) -> None:
    """A result that comes after the run's end, as of another process, still counts."""
    agent.say("tool.request", {"n": 1}, tool=REFUND, call_id="slow")
    agent.claim()
    assert agent.end() == []
    agent.say("tool.result", PAID, tool=REFUND, call_id="slow", extra={"status": "ok"})
    agent.pipe.wait(62.0)

    assert told(agent.pipe.out) == []


def test_of_a_call_that_never_ends_nobody_knows(agent: Agent) -> None:
    """Its agent says that it was done; nothing tells otherwise, not even a minute later."""
    agent.say("tool.request", {"n": 1}, tool=REFUND, call_id="lost")
    agent.claim()
    assert agent.end() == []
    agent.pipe.wait(62.0)

    assert told(agent.pipe.out) == []


def test_with_several_processes_it_is_said_a_while_after_the_end(agent: Agent) -> None:
    """What another process has not told yet may explain it; a minute later nothing does."""
    other = Agent(agent.pipe, boot="b2")
    other.say("thought", "I shall refund.")
    agent.claim(times=2)
    assert agent.end() == []
    other.call()
    agent.pipe.wait(59.0)
    assert told(agent.pipe.out) == []
    agent.pipe.wait(3.0)
    (signal,) = told(agent.pipe.out)

    assert records(signal)[REFUND]["done"] == 1
    assert signal.trace_id == TRACE
    assert len(summaries(agent.pipe.out)) == 1


def test_who_hands_work_over_may_tell_what_came_of_it(agent: Agent) -> None:
    """The desk claims what the agent below it did, and so does that one; neither hides or invents."""
    below = Agent(agent.pipe, agent_id="payer")
    below.begin()
    below.call(args={"order": 1})
    below.claim(args={"order": 1})
    assert below.end() == []
    agent.call(FIND)
    agent.claim(REFUND, args={"order": 1})

    assert agent.end() == []
    agent.pipe.wait(62.0)
    assert told(agent.pipe.out) == []


def test_a_second_run_of_the_agent_in_the_trace_claims_for_itself(agent: Agent) -> None:
    """What its first run did is neither hidden by the second nor claimed again."""
    agent.call()
    agent.claim()
    first = agent.end()
    agent.begin()
    agent.call(MAIL)
    agent.claim(MAIL)

    assert (first, agent.end()) == ([], [])


def test_a_lie_is_told_once(agent: Agent) -> None:
    """The next run of the agent in the same trace answers for its own claims alone."""
    agent.claim()
    first = agent.end()
    agent.begin()
    agent.call(MAIL)
    agent.claim(MAIL)

    assert (len(first), agent.end()) == (1, [])


def test_a_witness_outside_wins() -> None:
    """Where a gateway reports the same call, its record counts, whichever comes first."""
    for order in ((0, 1), (1, 0)):
        agent = Agent()
        agent.begin()
        agent.say("tool.request", {"n": 1}, tool=REFUND, call_id="c1")
        said = {"tool": REFUND, "call_id": "c1"}
        own = agent.event("tool.result", PAID, extra={"status": "ok"}, **said)
        seen = agent.event(
            "tool.result", None, extra={"status": "error", "source": "gateway"}, **said
        )
        agent.pipe.send(*((own, seen)[n] for n in order))
        agent.claim()
        (signal,) = agent.end()

        assert signal.evidence["observed"] == "false_success"


def test_a_shadow_is_not_judged() -> None:
    """Its writes are never executed, whatever it believes and reports."""
    agent = Agent()
    agent.say("run.start", extra={"attrs": {"shadow_of": trace_id(9)}})
    agent.call(status="not_run")
    agent.claim()
    agent.call(FIND)

    assert agent.end() == []
    assert told(agent.pipe.out) == []


def test_an_owner_may_only_measure() -> None:
    """`metrics_only`: it is told in the record, stops no run and wakes nobody."""
    agent = Agent(metrics_only=["divergence"])
    agent.begin()
    agent.claim()
    (signal,) = told(agent.call())
    agent.begin(2)
    agent.claim()
    (later,) = agent.end()

    assert (commands(agent.pipe.out), summaries(agent.pipe.out)) == ([], [])
    assert (signal.status, later.severity) == ("metrics_only", "high")


# -- bounds ------------------------------------------------------------------------------------------


def test_many_calls_are_counted_when_their_details_are_forgotten(agent: Agent) -> None:
    """A hundred refunds, all claimed with their arguments, are no difference; one more claim is."""
    for n in range(100):
        agent.call(args={"order": n})
        agent.claim(args={"order": n})
    agent.claim()
    (signal,) = agent.end()

    assert (records(signal)[REFUND]["claimed"], records(signal)[REFUND]["done"]) == (101, 100)
    assert records(signal)[REFUND]["missing"] == 1


def test_rare_calls_keep_their_details() -> None:
    """Of too many calls the oldest of the most frequent tool goes: writes are rarer than reads."""
    conduct = Conduct()
    conduct.did(step(REFUND, "first"), "agent")
    for n in range(100):
        conduct.did(step(FIND, f"read-{n}"), "agent")

    assert len(conduct.deeds) == DEEDS_KEPT
    assert [deed.tool for deed in conduct.deeds.values()].count(0) == 1


def test_its_state_is_small_and_bounded() -> None:
    """However many calls and claims of however many tools: 1.1 kB, most of it names, and 0.5 kB of claims."""
    conduct = Conduct()
    for n in range(500):
        conduct.did(
            step(f"tool-{n % 40:02d}.of.some.server", f"c-{n}", result_hash=f"r{n}"), "agent"
        )
    quiet = len(msgspec.msgpack.encode(conduct))
    told_of = Told()
    for n in range(CLAIMED_MAX):
        tool = f"tool-{n % 40:02d}.of.some.server"
        conduct.claim(told_of("claim", tool=tool, args_hash=f"a{n}", call_id=f"c{n}"))
    claims = len(msgspec.msgpack.encode(conduct)) - quiet
    conduct.claim(told_of("claim", tool="tool-01.of.some.server", attrs={"times": 10**12}))

    assert len(conduct.tools) == TOOLS_MAX
    assert quiet <= 1100  # 16 names of 22 characters are 0.4 kB of it
    assert claims <= 512
    assert len(msgspec.msgpack.encode(conduct)) - quiet <= 512
    assert sum(one.claimed for one in conduct.accounts([], {}, ended=True)) <= CLAIMED_MAX


def test_who_claims_too_much_hides_nothing_by_it(agent: Agent) -> None:
    """Beyond the limit claims are not counted, so nothing is said of what they leave out; a lie stays one."""
    agent.call(MAIL)
    agent.claim(times=CLAIMED_MAX)
    agent.claim(MAIL)
    (signal,) = agent.end()

    assert records(signal)[REFUND]["missing"] == CLAIMED_MAX
    assert MAIL not in records(signal)


def test_claims_beyond_those_kept_count_by_number(agent: Agent) -> None:
    """A report of many calls is judged by how many they were."""
    for n in range(CLAIMS_KEPT + 5):
        agent.claim(args={"order": n})
        agent.call(args={"order": n})
    agent.call()
    agent.pipe.wait(0.5)

    assert records(agent.end()[0])[REFUND]["unclaimed"] == 1


@pytest.mark.parametrize("attrs", [{"times": "3"}, {"times": -1}, {"times": None}, {"lost": "x"}])
def test_a_forged_claim_breaks_nothing(agent: Agent, attrs: dict[str, Any]) -> None:
    """An event may hold anything; the worker goes on."""
    agent.say("claim", extra={"tool": REFUND, "attrs": attrs})
    agent.say("claim", extra={"attrs": attrs})
    agent.call(MAIL)

    assert isinstance(agent.end(), list)
    assert agent.pipe.dead() == []


def test_it_survives_a_checkpoint_and_an_older_one_has_none(agent: Agent) -> None:
    """Restored in mid-run it goes on alike; a state without it is read as one that claims nothing."""
    agent.call()
    agent.claim(times=2)
    (join,) = agent.pipe.joins.values()
    snapshot = join.freeze()
    while join.partition.encode_some(snapshot):
        pass
    cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    join.restore(snapshot.marker, cells)
    (signal,) = agent.end()
    state = new_agent(f"{TENANT}/{AGENT}")

    assert records(signal)[REFUND]["missing"] == 1
    assert pickle.loads(pickle.dumps(state)).claims_writes is False


def step(tool: str, call: str, **more: Any) -> Step:
    return Step(
        step_id=call, phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE, span_id="0" * 16,
        action="tool", tool=tool, call_id=call, status="ok", args_hash=f"args-{call}", **more,
    )  # fmt: skip
