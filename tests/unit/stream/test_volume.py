"""Calls a minute: counted by record time, judged when the minute is over."""

import pickle

from ingest.records import Step
from stream.agent_state import AgentState, new_agent
from stream.finding import Finding
from stream.findings import on_request
from stream.unpickle import loads
from tests.pipe import AGENT, START, TENANT, TRACE
from tests.pipe import file as declared


def agent() -> AgentState:
    state = new_agent(f"{TENANT}/{AGENT}")
    state.file, state.at = declared(), START
    return state


def minute(state: AgentState, number: int, calls: int, spooled: bool = False) -> list[Finding]:
    """What is said of so many calls in one minute."""
    said = []
    for i in range(calls):
        state.at = START + 60.0 * number + i * 0.01
        asked = Step(
            step_id=f"{number}-{i}", phase="request", tenant=TENANT, agent_id=AGENT, span_id="x",
            trace_id=TRACE, action="tool", tool="crm.find", at=state.at, spooled=spooled,
        )  # fmt: skip
        said += [f for f in on_request(state, asked) if f.detector == "series_novelty"]
    return said


def test_a_minute_with_far_more_calls_is_annotated_once() -> None:
    """It is told when the next minute begins, with the count and what was expected."""
    state = agent()
    before = [f for i in range(300) for f in minute(state, i, 3 + i % 4)]
    assert minute(state, 300, 40) == []
    said = minute(state, 301, 4) + minute(state, 302, 40) + minute(state, 303, 4)

    assert before == []
    assert [f.evidence["observed"] for f in said] == [40.0]
    assert said[0].action == "annotate"
    assert said[0].event is None


def test_a_pause_is_learnt_in_part() -> None:
    """After a night without calls a few empty minutes are learnt, not all: one call must stay cheap."""
    state = agent()
    minute(state, 0, 1)
    minute(state, 3, 1)
    assert state.volume.usual.n == 3

    minute(state, 3 + 600, 1)
    assert state.volume.usual.n == 3 + 16


def test_what_waited_on_a_disk_does_not_count() -> None:
    """Spooled calls come all at once, whenever they were made."""
    state = agent()
    minute(state, 0, 1)
    minute(state, 1, 50, spooled=True)

    assert (state.volume.calls, state.volume.usual.n) == (1, 0)


def test_it_comes_back_from_a_checkpoint() -> None:
    """Counts and what is usual survive, to the byte."""
    state = agent()
    for i in range(150):
        minute(state, i, 1 + i % 3)
    again = loads(pickle.dumps(state))
    for number in (150, 151):
        assert minute(again, number, 9) == minute(state, number, 9)

    assert again.volume.usual.evidence() == state.volume.usual.evidence()
    assert pickle.dumps(again.volume) == pickle.dumps(loads(pickle.dumps(state)).volume)
