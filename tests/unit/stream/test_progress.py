"""Runs that go nowhere: told with content off, through the real evidence and both cores."""

from typing import Any

import msgspec
import pytest

from ingest.records import Fact, Loop, Signal, Step
from ingest.topics import INBOX
from stream.agent.agent_state import AgentState, new_agent
from stream.finding.progressing import TASKS_MAX, called
from stream.join.progress import REACHED_KEPT, RESULTS_KEPT, SEEN_KEPT, Progress
from stream.outputs import Answer, Output
from tests.pipe import AGENT, TENANT, Pipe, Told, commands, found, registered, signals, trace_id
from tracefuse import wire
from tracefuse.drafts import Draft, Run
from tracefuse.events import Event, Fingerprint
from tracefuse.evidence import Identity, Witness
from tracefuse.verdicts import Verdict

FIND, READ, WRITE, POLL = "crm.find", "crm.read", "crm.write", "crm.job"
FILE: dict[str, Any] = {
    "owner": {"name": "Refunds"}, "metrics_only": ["sequence_surprise"],  # these runs are odd on purpose
    "tools": {
        FIND: {"access": "read"}, READ: {"access": "read"}, WRITE: {"access": "write"},
        POLL: {"access": "read", "poll": True},
    },
}  # fmt: skip
NOTHING = {"text": "no order of this customer matches what was asked for"}
WORDINGS = ("angry", "unhappy", "furious", "cross", "upset", "annoyed", "irate", "displeased")
HEALTHY = 70  # runs, so that the habit is known and no longer in its shadow


class Agent:
    """An agent's process whose texts become evidence as the SDK makes it; run after run."""

    def __init__(self, **file: Any) -> None:
        self.pipe, self.seq, self.runs = Pipe(), 0, 0
        self.pipe.tell(registered(AGENT, **(FILE | file)))
        who = Identity(
            tenant=TENANT, agent_id=AGENT, environment="dev", bundle="", boot_id="b1"
        )  # fmt: skip
        self.witness = Witness(who, b"k" * 32)
        self.begin()

    def begin(self) -> None:
        self.runs += 1
        self.run = Run(trace_id(self.runs), task_type="refund")
        self.say("run.start")

    def say(self, name: str, body: object = None, **more: Any) -> list[Output]:
        self.pipe.now += 0.01
        return self.pipe.send(self.event(name, body, **more))

    def event(self, name: str, body: object = None, **more: Any) -> Event:
        self.seq += 1
        span, at = f"{self.seq:016x}", 1_795_000_000_000_000 + self.seq
        return self.witness.event(
            Draft(name, self.run, span, at, body=body, **more), self.seq
        )  # fmt: skip

    def call(self, tool: str, args: object, result: object, error: str = "") -> list[Signal]:
        """A call and its answer; what was found of a run that goes nowhere."""
        call = f"c{self.seq}"
        out = self.say("tool.request", args, tool=tool, call_id=call)
        said: dict[str, Any] = {"extra": {"status": "error", "error_text": error}} if error else {}
        out += self.say("tool.result", None if error else result, tool=tool, call_id=call, **said)
        return [one for one in signals(out) if one.detector == "no_progress"]

    def write(self) -> Verdict:
        """A write that waits for its verdict."""
        self.asked = f"c{self.seq}"
        event = self.event("tool.request", {"note": 5}, tool=WRITE, call_id=self.asked)
        event.attempt, event.deadline_ms = 1, 1000
        (verdict,) = [one.verdict for one in self.pipe.send(event) if isinstance(one, Answer)]
        return verdict

    def works(self, runs: int = HEALTHY) -> list[Signal]:
        """Healthy runs, each of its own order; what was found in them."""
        seen: list[Signal] = []
        for _ in range(runs):
            for n in range(4):
                order = 1_000_000 + 10 * self.runs + n
                seen += self.call(READ, {"order": order}, {"text": f"order {order} is shipped"})
            self.say("run.end", extra={"status": "ok"})
            self.begin()
        return seen

    def goes_round(self, calls: int) -> list[Signal]:
        """The same question in other words, and the same answer."""
        seen: list[Signal] = []
        for n in range(calls):
            asked = {"query": f"orders of the {WORDINGS[n % 8]} customer", "page": n // 8}
            seen += self.call(FIND, asked, NOTHING)
        return seen

    def stale(self) -> list[bool]:
        """Of each call that ended in the newest run: whether it brought nothing."""
        facts: list[Fact] = found(self.pipe.facts, INBOX, Fact)
        return [
            fact.stale for fact in facts
            if isinstance(fact, Step) and fact.trace_id == self.run.trace_id and fact.loop
        ]  # fmt: skip

    @property
    def state(self) -> AgentState:
        key = wire.agent_key(TENANT, AGENT)
        state = self.pipe.detects[wire.partition_of(key)].partition.get(key)
        assert state is not None
        return state


@pytest.fixture
def agent() -> Agent:
    return Agent()


def test_a_question_in_ever_other_words_makes_the_next_write_wait(agent: Agent) -> None:
    """A run that goes nowhere is told once, with what is usual; then a person is asked."""
    assert agent.works() == []
    before = agent.write()
    told = agent.goes_round(14)

    assert before.word == "allow"
    (signal,) = told
    assert (signal.action, signal.evidence_class) == ("step-up", "statistical")
    assert signal.evidence["observed"] == signal.evidence["limit"] == 8
    assert signal.sentence == (
        "Nothing new came of the last 8 calls of the run; 99 % of `refund` runs stay within 0."
    )
    after = agent.write()
    assert (after.word, after.gate) == ("needs_approval", "signals")
    assert commands(agent.pipe.out) == []


def test_the_next_run_is_free(agent: Agent) -> None:
    """What one run did says nothing of the next one."""
    agent.works()
    agent.goes_round(12)
    agent.say("run.end", extra={"status": "ok"})
    agent.begin()

    assert agent.write().word == "allow"


def test_alone_it_stops_nothing_and_with_a_rule_it_stops_the_run(agent: Agent) -> None:
    """However long it lasts, a habit that is left is no proof; with a rule's warning beside it is."""
    agent.works()
    agent.goes_round(40)
    assert commands(agent.pipe.out) == []
    for _ in range(3):
        agent.call(READ, {"q": "the same"}, NOTHING)
    agent.goes_round(13)
    assert commands(agent.pipe.out) == []
    agent.goes_round(1)  # the 16th since the first call of the other tool: twice the limit

    (stop,) = commands(agent.pipe.out)
    assert (stop.scope.partition(":")[0], stop.action) == ("run", "stop-run")
    assert stop.reason.rule == "no_progress"
    assert "`exact_loop` has fired too" in stop.reason.text


def test_what_only_measures_bears_nothing_out() -> None:
    """A rule that its owner put aside does not help a statistical finding to a stop."""
    agent = Agent(metrics_only=["exact_loop", "sequence_surprise"])
    agent.works()
    for _ in range(3):
        agent.call(READ, {"q": "the same"}, NOTHING)
    agent.goes_round(40)

    assert commands(agent.pipe.out) == []


def test_a_warning_of_what_is_common_bears_nothing_out(agent: Agent) -> None:
    """To act on a value that a result merely lists is what healthy runs do."""
    agent.works()
    agent.call(FIND, {"query": "orders"}, {"text": "one order, by ann@example.org"})
    out = agent.say("tool.request", {"to": "ann@example.org"}, tool=WRITE, call_id="w")
    agent.goes_round(40)

    assert "tainted_argument" in [one.detector for one in signals(out)]
    assert commands(agent.pipe.out) == []


def test_a_new_agent_is_not_judged_by_habits_it_has_not(agent: Agent) -> None:
    """Before the habit is known nothing is said, however the run goes."""
    assert agent.goes_round(60) == []


def test_one_hard_task_is_learnt(agent: Agent) -> None:
    """Where healthy runs go nowhere for twelve calls, twelve are no finding, and thirteen are."""
    for _ in range(HEALTHY):
        agent.works(1)
        agent.goes_round(13)  # the first of them finds out that there is nothing
        agent.say("run.end", extra={"status": "ok"})
        agent.begin()
    agent.pipe.out.clear()

    assert agent.goes_round(13) == []
    assert agent.goes_round(1) != []


def test_where_hashes_are_all_that_is_told_they_decide() -> None:
    """A process that sends no sketches is judged by whether its results are the same."""
    pipe, told = Pipe(), Told()
    for n in range(3):
        pipe.send(*told.call(n))
    for n in range(3):
        pipe.send(*told.call(10 + n, result_hash="same"))

    stale = [step.stale for step in pipe.steps().values()]
    assert stale == [False, False, False, False, True, True]


NEWS: dict[str, tuple[str, object, object]] = {
    "another order": (READ, {"order": 7_777_777}, NOTHING),
    "a tool not used yet": (WRITE, {}, None),
    "another text": (FIND, {"query": "orders"}, {"text": "a parcel for somebody arrived in Bergen"}),
    "a value not met yet": (
        FIND, {"query": "orders"},
        {"text": "no order of this customer matches what we have, see 8812734 and 99812 instead"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEWS)
def test_what_is_news(agent: Agent, name: str) -> None:
    """A tool, a resource, another text, a text somewhat alike with a new value."""
    agent.goes_round(3)
    agent.call(*NEWS[name])

    assert agent.stale() == [False, True, True, False]


def test_what_is_none(agent: Agent) -> None:
    """The same resource, the same text with another time, a failed call of another resource."""
    agent.goes_round(2)
    agent.call(FIND, {"order": 1234567}, NOTHING)
    agent.call(FIND, {"order": 1234567, "limit": 7}, NOTHING)
    agent.call(FIND, {"query": "x"}, {"text": f"{NOTHING['text']} 2026-11-21"})
    agent.call(FIND, {"order": 7654321}, None, error="order 7654321 is not known")

    assert agent.stale() == [False, True, False, True, True, True]


def test_a_state_that_comes_back_is_no_step_ahead(agent: Agent) -> None:
    """A changed state is news for the call that follows; one that the run had before is none."""
    agent.goes_round(2)
    for state in ("open", "shut", "open", "shut"):
        agent.say("state.after", {"door": state})
        agent.goes_round(1)

    assert agent.stale() == [False, True, False, False, True, True]


def test_polling_is_no_standstill(agent: Agent) -> None:
    """A tool that its owner declared for polling may say the same for ever."""
    agent.works()
    told = [one for _ in range(30) for one in agent.call(POLL, {"job": 9}, {"text": "it runs"})]

    assert told == []


def test_a_stopped_run_teaches_nothing(agent: Agent) -> None:
    """Who goes round until he is stopped does not widen his own limit."""
    agent.works()
    before = agent.state.progress["refund"].runs
    for _ in range(4):
        agent.call(READ, {"q": "the same"}, NOTHING)
    agent.say("run.end", extra={"status": "ok"})
    stopped = agent.state.progress["refund"].runs
    agent.begin()
    agent.works(1)

    assert (stopped, agent.state.progress["refund"].runs) == (before, before + 1)


def test_a_refused_run_teaches_nothing(agent: Agent) -> None:
    """Who goes round again and again, and is held for it each time, is held the last time as well."""
    agent.works()
    words, limits = [], []
    for _ in range(20):
        agent.goes_round(14)
        words.append(agent.write().word)
        agent.say("tool.result", tool=WRITE, call_id=agent.asked, extra={"status": "not_run"})
        agent.say("run.end", extra={"status": "ok"})
        agent.begin()
        limits.append(agent.state.progress["refund"].limit)

    assert words == ["needs_approval"] * 20
    assert limits == [8] * 20


def test_tasks_are_bounded() -> None:
    """The habits of the tasks used last stay."""
    state, told = new_agent(f"{TENANT}/{AGENT}"), Told()
    for n in range(TASKS_MAX + 5):
        step = Step(
            step_id="s", phase="complete", tenant=TENANT, agent_id=AGENT, span_id="x",
            trace_id=told.trace_id, action="tool", tool=FIND, task_type=f"t{n}", loop=Loop(),
        )  # fmt: skip
        assert list(called(state, step)) == []

    assert list(state.progress) == [f"t{n}" for n in range(5, TASKS_MAX + 5)]


def test_memory_is_bounded_and_small() -> None:
    """A run that reaches ever new things costs 0.5 kB of a snapshot at most."""
    progress, told, sizes = Progress(), Told(), []
    for n in range(500):
        values = [Fingerprint(f"{n:08x}{m:08x}", "id", "", 0, 1) for m in range(3)]
        asked, answered = told.call(
            n, fingerprints=values, sketches={"simhash": f"{n**7 % 2**64:016x}"}
        )
        progress.asked(asked)
        progress.asked(msgspec.structs.replace(asked, call_id=f"lost-{n}", tool=f"t{n}"))
        progress.answered(answered, told=True)
        sizes.append(len(msgspec.msgpack.encode(progress)))

    assert len(progress.seen) == SEEN_KEPT
    assert len(progress.results) <= RESULTS_KEPT and len(progress.reached) <= REACHED_KEPT
    assert max(sizes) <= 512
