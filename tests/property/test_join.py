"""Final steps and totals are equal under any order of arrival, with duplicates or without."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.records import Fact, RunTotals, Step
from ingest.topics import INBOX
from stream.join.join import Join
from stream.outputs import Line
from tests.pipe import MASTER, START, TENANT, TRACE, Told, envelope, found
from tracefuse import wire
from tracefuse.events import Event

NUMBER = wire.partition_of(wire.trace_key(TENANT, TRACE))
KEY = wire.trace_key(TENANT, TRACE)

# What tells when and how often a step was written, not what happened.
_OF_ARRIVAL = ("src", "revision", "at", "run", "loop", "stale", "crew", "agents", "echo")

moves = st.lists(
    st.sampled_from(
        ["thought", "plan", "retrieval", "state.before", "state.after", "ask", "ask", "answer",
         "answer", "refuse", "handoff", "memory.write"]
    ),
    max_size=14,
)  # fmt: skip


def acted(told: Told, script: list[str]) -> list[Event]:
    """Events of one process; an answer ends the oldest open call. At most eight actions."""
    events: list[Event] = []
    open_calls: list[int] = []
    actions = 0
    for n, move in enumerate(script):
        if move == "ask" and actions < 8:
            open_calls.append(n)
            actions += 1
            events.append(_request(told, n))
        elif move in ("answer", "refuse") and open_calls:
            events.append(_result(told, open_calls.pop(0), refused=move == "refuse"))
        elif move in ("handoff", "memory.write") and actions < 8:
            actions += 1
            events.append(told(move, cost_usd=0.5))
        elif move not in ("ask", "answer", "refuse", "handoff", "memory.write"):
            events.append(told(move, sketches={"simhash": f"{n:016x}"}))
    return events


def _request(told: Told, n: int) -> Event:
    said: dict[str, Any] = {"call_id": f"{told.boot_id}-{n}", "tool": f"tool-{n}"}
    # What only one of the two events tells must not depend on which of them came first.
    told_here = {"args_hash": f"args-{n}", "user_id": f"user-{n}", "confidence": 0.5}
    return told("tool.request", **said, **(told_here if n % 2 else {}))


def _result(told: Told, n: int, refused: bool) -> Event:
    said: dict[str, Any] = {
        "call_id": f"{told.boot_id}-{n}", "tool": f"tool-{n}", "args_hash": f"args-{n}",
        "result_hash": f"result-{n}", "cost_usd": 0.25, "input_tokens": n, "session_id": "s",
        "status": "not_run" if refused else ("ok", "error")[n % 2],
    }  # fmt: skip
    return told("tool.result", **said, **({"confidence": 0.25, "user_id": "u"} if n % 3 else {}))


def joined(events: list[Event]) -> tuple[dict[str, dict[str, Any]], dict[str, RunTotals]]:
    """Final steps by id, and the totals of each agent, as they stand at the end."""
    join, said = Join(NUMBER, MASTER), list[Line]()
    for offset, event in enumerate(events):
        said += join.apply(offset, START, *envelope([event], agent_id=event.agent_id))
    facts: list[Fact] = found(said, INBOX, Fact)
    last: dict[str, Step] = {}
    for step in (fact for fact in facts if isinstance(fact, Step)):
        known = last.get(step.step_id)
        assert known is None or step.revision > known.revision
        last[step.step_id] = step
    trace = join.partition.get(KEY)
    totals = {} if trace is None else {k: m.totals for k, m in trace.members.items()}
    return {step_id: _bare(step) for step_id, step in last.items()}, totals


def _bare(step: Step) -> dict[str, Any]:
    return {k: v for k, v in msgspec.structs.asdict(step).items() if k not in _OF_ARRIVAL}


@settings(max_examples=150)
@given(moves, moves, st.randoms(use_true_random=False), st.integers(0, 6))
def test_order_and_duplicates_change_nothing_at_the_end(
    first: list[str], second: list[str], chance: Any, twice: int
) -> None:
    """Two processes of two agents; everything shuffled, some of it sent again."""
    events = acted(Told(boot_id="b1"), first) + acted(Told("billing", boot_id="b2"), second)
    again = chance.sample(events, min(twice, len(events)))
    shuffled = events + again
    chance.shuffle(shuffled)

    assert joined(shuffled) == joined(events)


@given(moves)
def test_in_order_nothing_is_written_twice(script: list[str]) -> None:
    """Of an orderly process each action is told as often as it changes: no echoes but state.after."""
    told = Told()
    join, said = Join(NUMBER, MASTER), list[Line]()
    events = acted(told, script)
    for offset, event in enumerate(events):
        said += join.apply(offset, START, *envelope([event]))
    facts: list[Fact] = found(said, INBOX, Fact)
    echoes = [fact for fact in facts if isinstance(fact, Step) and fact.echo]

    assert len(echoes) <= sum(event.name == "state.after" for event in events)


@given(moves, st.integers(0, 14))
def test_a_cut_anywhere_changes_nothing(script: list[str], cut: int) -> None:
    """Restored from a snapshot between any two events, join goes on with the same bytes."""
    events = acted(Told(), script)
    straight, first = Join(NUMBER, MASTER), Join(NUMBER, MASTER)
    expected, said = list[Line](), list[Line]()
    for offset, event in enumerate(events):
        expected += straight.apply(offset, START, *envelope([event]))
        if offset == cut:
            snapshot = first.freeze()
            while first.partition.encode_some(snapshot):
                pass
            first = Join(NUMBER, MASTER)
            cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
            first.restore(snapshot.marker, cells)
        said += first.apply(offset, START, *envelope([event]))

    assert said == expected
