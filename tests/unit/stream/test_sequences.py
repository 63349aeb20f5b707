"""The order of calls in the stream: what waits, what is annotated, and which runs teach."""

from typing import Any

import pytest

from ingest.records import Signal
from stream.agent.agent_state import AgentState
from stream.outputs import Answer, Output
from tests.pipe import AGENT, TENANT, Pipe, Told, registered, signals, trace_id

TOOLS = {
    "crm.find": {"access": "read"}, "crm.read": {"access": "read"}, "crm.list": {"access": "read"},
    "crm.update": {"access": "write"}, "crm.erase": {"access": "write"},
    "crm.export": {"access": "read"},
}  # fmt: skip


class Days:
    """An agent whose runs go through join and detect; each has a trace of its own."""

    def __init__(self, learnt: int = 40) -> None:
        self.pipe, self.number = Pipe(), 0
        self.pipe.tell(registered(owner={"name": "team-crm"}, tools=TOOLS))
        for i in range(learnt):
            self.run(["crm.find", *["crm.read", "crm.list"][: 1 + i % 2], "crm.update"])

    def run(self, tools: list[str], end: str = "ok", **more: Any) -> list[Output]:
        """One run; what was decided at its last call and at its end."""
        self.number += 1
        told = Told(trace_id=trace_id(self.number), boot_id=f"b{self.number}")
        self.pipe.send(told("run.start"))
        out: list[Output] = []
        for i, tool in enumerate(tools):
            asked, answered = told.call(i, tool, **more)
            if TOOLS[tool]["access"] != "read":
                asked.attempt, asked.deadline_ms = 1, 1000
            self.pipe.now += 1.0
            out = self.pipe.send(asked)
            self.pipe.send(answered)
        return out + (self.pipe.send(told("run.end", status=end)) if end else [])

    @property
    def agent(self) -> AgentState:
        detect = next(iter(self.pipe.detects.values()))
        return detect.partition.open(f"{TENANT}/{AGENT}")


def found(out: list[Output]) -> list[Signal]:
    return [one for one in signals(out) if one.detector == "sequence_surprise"]


def words(out: list[Output]) -> list[str]:
    return [one.verdict.word for one in out if isinstance(one, Answer)]


def test_a_write_that_is_never_made_there_waits_for_a_person() -> None:
    """Its request raises a step-up, and its verdict is to ask; the usual write goes on."""
    days = Days()
    usual = days.run(["crm.find", "crm.read", "crm.update"])
    odd = days.run(["crm.find", "crm.read", "crm.erase"])

    assert (found(usual), words(usual)) == ([], ["allow"])
    assert [(one.action, one.severity) for one in found(odd)] == [("step-up", "high")]
    assert words(odd) == ["needs_approval"]
    assert found(odd)[0].sentence.startswith("After `crm.read`, `crm.erase` is rare: 0 of ")


def test_a_read_is_annotated_and_excuses_no_write() -> None:
    """A surprising read stops nothing; a surprising write after it in the same run still waits."""
    days = Days()
    read = days.run(["crm.find", "crm.export"], end="")
    both = days.run(["crm.find", "crm.export", "crm.export", "crm.erase"])

    assert [(one.action, one.severity) for one in found(read)] == [("annotate", "low")]
    assert words(both) == ["needs_approval"]


@pytest.mark.parametrize("how", [{"end": "error"}, {"status": "not_run"}, {"end": ""}])
def test_a_run_that_went_wrong_teaches_nothing(how: dict[str, Any]) -> None:
    """Runs that failed, were refused a call or never ended are not learnt."""
    days = Days(learnt=5)
    before = days.agent.sequences.runs
    for _ in range(3):
        days.run(["crm.find", "crm.read"], **how)

    assert (before, days.agent.sequences.runs) == (5, 5)


def test_a_stopped_run_teaches_nothing() -> None:
    """A run that its loop has stopped is not learnt, however it says that it ended."""
    days = Days(learnt=5)
    days.run(["crm.find"] * 6, args_hash="same", result_hash="same")

    assert days.agent.sequences.runs == 5


def test_what_was_spooled_is_neither_scored_nor_learnt() -> None:
    """Calls that come late from a disk move no run on, and the run teaches nothing."""
    days = Days(learnt=5)
    told = Told(trace_id=trace_id(999), boot_id="late")
    days.pipe.send(told("run.start"))
    days.pipe.send(*told.call(1, "crm.erase"), spooled=True)
    days.pipe.send(told("run.end", status="ok"))

    assert days.agent.sequences.runs == 5


def test_asking_again_is_no_second_call() -> None:
    """A held call that is asked for once more is one call of the run; approved, the run teaches."""
    days = Days(learnt=5)
    told = Told(trace_id=trace_id(999), boot_id="again")
    days.pipe.send(told("run.start"))
    for attempt, status in ((1, "not_run"), (2, "ok")):
        asked, answered = told.call(1, "crm.update", status=status)
        asked.attempt, asked.deadline_ms = attempt, 1000
        days.pipe.send(asked)
        days.pipe.send(answered)
        calls = days.agent.runs[trace_id(999)].walk.n
    days.pipe.send(told("run.end", status="ok"))

    assert calls == 1
    assert days.agent.sequences.runs == 6


def asked(days: Days, told: Told, number: int, tool: str, attempt: int = 1) -> str:
    """The verdict of a call; each has arguments of its own."""
    asking, _ = told.call(number, tool, args_hash=f"args-{number}")
    asking.attempt, asking.deadline_ms = attempt, 1000
    days.pipe.now += 1.0
    (word,) = words(days.pipe.send(asking))
    return word


def test_each_odd_write_of_a_run_waits_and_only_these() -> None:
    """The alarm is said once a run, but excuses no later write; what is not odd goes on."""
    days = Days()
    told = Told(trace_id=trace_id(999), boot_id="odd")
    days.pipe.send(told("run.start"))
    first = [asked(days, told, 1, "crm.erase"), asked(days, told, 1, "crm.erase", attempt=2)]
    second = asked(days, told, 2, "crm.erase")
    again = [asked(days, told, n, "crm.erase", attempt=2) for n in (1, 2)]
    usual = asked(days, told, 3, "crm.update", attempt=2)  # not judged again, so not odd

    assert first == ["needs_approval"] * 2
    assert second == "needs_approval"
    assert again == ["needs_approval"] * 2
    assert usual == "allow"
