"""How much an agent does, in the stream: what waits, what is annotated, and what is no call of its own."""

from typing import Any

from ingest.records import Signal
from stream.agent.agent_state import AgentState
from stream.finding.volumes import ALL
from stream.outputs import Answer, Output
from tests.pipe import AGENT, START, TENANT, Pipe, Told, registered, signals, trace_id

TOOLS = {
    "crm.find": {"access": "read"}, "crm.list": {"access": "read"}, "crm.update": {"access": "write"},
}  # fmt: skip


class Days:
    """An agent whose calls go through join and detect: a read a minute and a write every three minutes."""

    def __init__(self, minutes: int = 420) -> None:
        self.pipe, self.told, self.number = Pipe(START), Told(), 0
        self.pipe.tell(registered(owner={"name": "team-crm"}, tools=TOOLS))
        self.usual = list[Signal]()
        for minute in range(minutes):
            self.pipe.now += 60.0
            self.usual += volumes(self.call("crm.find"))
            if minute % 3 == 0:
                self.usual += volumes(self.call("crm.update"))

    def call(self, tool: str, attempt: int = 1, **more: Any) -> list[Output]:
        """One call, each with arguments of its own; what was decided at its request."""
        self.number += 1
        asked, answered = self.told.call(self.number, tool)
        if TOOLS[tool]["access"] != "read":
            asked.attempt, asked.deadline_ms = attempt, 1000
        out = self.pipe.send(asked, **more)
        self.pipe.send(answered, **more)
        return out

    def flood(self, tool: str, calls: int = 60, **more: Any) -> list[Output]:
        out: list[Output] = []
        for _ in range(calls):
            self.pipe.now += 0.5
            out += self.call(tool, **more)
        return out

    @property
    def agent(self) -> AgentState:
        detect = next(iter(self.pipe.detects.values()))
        return detect.partition.open(f"{TENANT}/{AGENT}")


def volumes(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "volume"]


def words(out: list[Output]) -> list[str]:
    return [one.verdict.word for one in out if isinstance(one, Answer)]


def test_the_writes_of_a_flood_wait_for_a_person() -> None:
    """All from some on, told once, with what came and what usually does; no usual one has waited."""
    days = Days()
    out = days.flood("crm.update")
    said, answers = volumes(out), words(out)

    assert days.usual == []
    assert [(one.action, one.severity) for one in said] == [("step-up", "high")]
    assert said[0].at - (START + 420 * 60) <= 30
    assert " `write` calls in " in said[0].sentence
    first = answers.index("needs_approval")
    assert 1 <= first <= 30
    assert answers[first:] == ["needs_approval"] * (60 - first)


def test_a_flood_of_reads_is_annotated_and_no_write_waits() -> None:
    """It costs money and changes nothing."""
    days = Days()
    said = volumes(days.flood("crm.find"))

    assert [(one.action, one.severity, one.evidence["access"]) for one in said] == [
        ("annotate", "low", "read")
    ]
    assert words(days.call("crm.update")) == ["allow"]


def test_one_flood_is_one_alarm_whatever_tools_it_uses() -> None:
    """What repeats within the hour is the class; a detector's quiet period alone would be over by then."""
    days = Days()
    said = volumes(days.flood("crm.find", 150))
    more = volumes(days.flood("crm.list", 150))

    assert said
    assert more == []


def test_calls_of_models_count_for_all_and_for_no_class() -> None:
    """A model is asked, no tool is used."""
    days = Days()
    said: list[Signal] = []
    for n in range(80):
        days.pipe.now += 0.5
        said += volumes(days.pipe.send(days.told("llm.request", call_id=f"m{n}", model="model-a")))

    assert [(one.evidence["access"], one.action) for one in said] == [("", "annotate")]
    assert said[0].sentence.split()[1] == "calls"


def test_what_waited_on_a_disk_is_no_flood() -> None:
    """It comes at once and was done long ago; nor is it counted."""
    days = Days()
    before = days.agent.volumes[ALL].n

    assert volumes(days.flood("crm.find", spooled=True)) == []
    assert days.agent.volumes[ALL].n == before


def test_asking_again_is_no_other_call() -> None:
    """A call that waits for its person asks again and again."""
    days = Days()
    before = days.agent.volumes["write"].n
    days.call("crm.update", attempt=2)

    assert days.agent.volumes["write"].n == before


def test_counts_of_other_runs_are_the_agents() -> None:
    """A flood over many runs is one: each run alone is in order."""
    days = Days()
    said: list[Signal] = []
    for n in range(30):
        days.told = Told(trace_id=trace_id(n + 1), boot_id=f"r{n}")
        said += volumes(days.flood("crm.update", 2))

    assert said
    assert {one.action for one in said} == {"step-up"}
