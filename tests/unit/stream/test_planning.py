"""Writes that a run's own plan does not name: found against the agent's habit, through both cores."""

from typing import Any

import msgspec
import pytest

from ingest.records import Fact, Planned, Signal, Step
from ingest.topics import INBOX
from stream.join.plans import NAME_MAX, STEPS_MAX, Plan
from stream.outputs import Answer
from tests.pipe import Pipe, Told, commands, found, registered, signals, trace_id
from tracefuse.verdicts import Verdict

FIND, UPDATE, MAIL = "crm.find", "crm.update", "mail.send"
FILE: dict[str, Any] = {
    "owner": {"name": "Refunds"}, "metrics_only": ["sequence_surprise"],  # the mail is new, too
    "tools": {FIND: {"access": "read"}, UPDATE: {"access": "write"}, MAIL: {"access": "irreversible"}},
}  # fmt: skip
HEALTHY = 30  # runs of four calls: beyond the shadow


class Agent:
    """Runs that declare their plan and then work."""

    def __init__(self, **file: Any) -> None:
        self.pipe, self.runs = Pipe(), 0
        self.pipe.tell(registered(**(FILE | file)))

    def begin(self, steps: list[str] | None = None) -> None:
        self.runs += 1
        self.told = Told(trace_id=trace_id(self.runs))
        self.pipe.send(self.told("run.start"))
        if steps is not None:
            self.plan(steps)

    def plan(self, steps: object) -> None:
        self.pipe.send(self.told("plan", attrs={"steps": steps}))

    def call(self, tool: str, held: bool = True) -> tuple[Verdict | None, list[Signal]]:
        """A call, its verdict where it waits for one, and what is said of the plan."""
        asked, answered = self.told.call(self.told.seq, tool)
        asked.attempt, asked.deadline_ms = (1, 1000) if held else (0, 0)
        out = self.pipe.send(asked)
        verdicts = [one.verdict for one in out if isinstance(one, Answer)]
        if verdicts and verdicts[0].word != "allow":
            answered.status = "not_run"
        self.pipe.send(answered)
        said = [one for one in signals(out) if one.detector == "unplanned_step"]
        return (verdicts[0] if verdicts else None), said

    def works(self, runs: int = HEALTHY) -> list[Signal]:
        said: list[Signal] = []
        for _ in range(runs):
            self.begin([FIND, UPDATE])
            for tool in (FIND, FIND, FIND, UPDATE):
                said += self.call(tool)[1]
            self.end()
        return said

    def end(self) -> None:
        self.pipe.send(self.told("run.end", status="ok"))


@pytest.fixture
def agent() -> Agent:
    made = Agent()
    assert made.works() == []
    return made


def test_a_write_outside_the_plan_waits_for_a_person(agent: Agent) -> None:
    """The plan was to find and to update; the mail waits, and the sentence names both sides."""
    agent.begin([FIND, UPDATE])
    agent.call(FIND)
    verdict, (signal,) = agent.call(MAIL)

    assert verdict is not None and verdict.word == "needs_approval"
    assert (signal.action, signal.evidence_class, signal.severity) == (
        "step-up", "statistical", "high",
    )  # fmt: skip
    assert (signal.evidence["steps"], signal.evidence["calls"], signal.evidence["distance"]) == (
        2,
        2,
        1,
    )
    assert signal.sentence == (
        "`mail.send` writes, and the run has declared a plan of 2 steps without it; of 30 writes under a "
        "plan 0 were not named. Its 2 calls so far are 1 change away from the plan."
    )
    assert commands(agent.pipe.out) == []


def test_what_the_plan_names_goes_on(agent: Agent) -> None:
    """The write beside it is the run's own, and so is each read."""
    agent.begin([FIND, UPDATE])
    agent.call(MAIL)
    verdict, said = agent.call(UPDATE)
    _, read = agent.call("crm.list", held=False)

    assert verdict is not None and verdict.word == "allow"
    assert said == []
    assert read == [] or read[0].action == "annotate"


def test_a_call_that_does_not_wait_is_annotated(agent: Agent) -> None:
    """Nothing can be asked of what runs anyway."""
    agent.begin([FIND, UPDATE])
    _, (signal,) = agent.call(MAIL, held=False)

    assert (signal.action, signal.severity) == ("annotate", "low")


def test_a_run_without_a_plan_is_not_judged(agent: Agent) -> None:
    """A plan is the agent's choice; one in words alone names no step."""
    agent.begin()
    agent.pipe.send(agent.told("plan", sketches={"simhash": "00ff"}))

    assert agent.call(MAIL)[1] == []


def test_a_new_plan_takes_the_place_of_the_old_one(agent: Agent) -> None:
    """Who plans again may write what is named now, and what was dropped is outside."""
    agent.begin([FIND, UPDATE])
    agent.plan([MAIL])

    assert agent.call(MAIL)[1] == []
    assert len(agent.call(UPDATE)[1]) == 1


def test_who_never_keeps_to_its_plans_is_left_alone() -> None:
    """It is held against its own habit: a loose planner is no news."""
    agent = Agent()
    for _ in range(60):
        agent.begin([FIND])
        for tool in (FIND, FIND, UPDATE):
            assert agent.call(tool)[1] == []
        agent.end()


def test_what_was_refused_is_no_habit(agent: Agent) -> None:
    """Who asks often enough for what no plan names is not let through for it."""
    words = []
    for _ in range(30):
        agent.begin([FIND, UPDATE])
        agent.call(FIND)
        words += [verdict.word for verdict, _ in (agent.call(MAIL),) if verdict]
        agent.end()

    assert words == ["needs_approval"] * 30


def test_a_plan_that_agents_leave_and_nobody_minds_becomes_usual(agent: Agent) -> None:
    """What has run teaches: a habit that changed for good is not told for ever."""
    told = []
    for _ in range(10):
        agent.begin([FIND, UPDATE])
        told.append(len(agent.call(MAIL, held=False)[1]))
        agent.end()

    assert told[0] == 1 and told[-1] == 0


def test_asking_again_is_no_second_call(agent: Agent) -> None:
    """The same call with a person's yes is not counted twice."""
    agent.begin([FIND, UPDATE])
    first, again = agent.told.call(1, MAIL)[0], agent.told.call(1, MAIL)[0]
    first.attempt, again.attempt = 1, 2
    first.deadline_ms = again.deadline_ms = 1000
    agent.pipe.send(first)
    agent.pipe.send(again)
    facts: list[Fact] = found(agent.pipe.facts, INBOX, Fact)
    *_, one, other = (fact.planned for fact in facts if isinstance(fact, Step))

    assert (one, other) == (Planned(False, 2, 1, 1), None)


@pytest.mark.parametrize(
    ("calls", "distance"),
    [([FIND], 0), ([FIND, UPDATE], 0), ([UPDATE], 1), ([MAIL, FIND, UPDATE], 1), ([FIND, FIND], 1)],
)
def test_the_distance_is_to_the_part_of_the_plan_that_is_due(
    calls: list[str], distance: int
) -> None:
    """What is still to come is no difference; each call too many, too few or other is one."""
    plan = Plan()
    plan.declare(Told()("plan", attrs={"steps": [FIND, UPDATE]}))
    told = [plan.called(tool) for tool in calls][-1]

    assert told == Planned(calls[-1] in (FIND, UPDATE), 2, len(calls), distance)


@pytest.mark.parametrize(
    "steps",
    ["crm.find", [], [1, 2], [FIND] * (STEPS_MAX + 1), ["x" * (NAME_MAX + 1)], {"a": 1}, None],
)
def test_what_is_no_plan_judges_nobody(steps: object) -> None:
    """An event may hold anything, and a plan of everything names nothing."""
    plan = Plan()
    plan.declare(Told()("plan", attrs={"steps": steps}))

    assert plan.called(MAIL) is None


def test_its_state_is_bounded() -> None:
    """A thousand calls under the longest plan cost no more than the plan itself."""
    plan = Plan()
    plan.declare(
        Told()("plan", attrs={"steps": [f"server-{n:02d}.tool" for n in range(STEPS_MAX)]})
    )
    for n in range(1000):
        plan.called(f"server-{n % 40:02d}.tool")

    assert len(msgspec.msgpack.encode(plan)) <= 512
