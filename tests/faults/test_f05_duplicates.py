"""F05: what is delivered twice counts once: steps, totals, budgets, windows, breakers."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.join.trace_state import SEEN_KEPT, Trace
from stream.outputs import Output
from tests.pipe import Pipe, Told, commands, registered, signals
from tracefuse.events import Event

FILE: dict[str, Any] = {
    "limits": {"write": {"per_minute": 15}}, "budgets": {"run_usd": 1.0, "day_usd": 1.5},
    "tools": {"slow": {"latency_ms": 1}},
}  # fmt: skip

ACTS: dict[str, dict[str, Any]] = {
    "ok": {}, "error": {"status": "error"}, "same": {"args_hash": "a", "result_hash": "r"},
    "costly": {"cost_usd": 0.3}, "slow": {"tool": "slow", "duration_us": 900_000},
    "refused": {"status": "not_run"},
}  # fmt: skip

acts = st.sampled_from(["ok", "ok", "error", "same", "costly", "slow", "refused"])
Sent = list[list[Event]]


def events(script: list[str]) -> Sent:
    """Records of an agent's run, one a call."""
    told = Told()
    sent = [[told("run.start"), told("heartbeat")]]
    for n, act in enumerate(script):
        sent.append([told("thought"), *told.call(n, **ACTS[act])])
    return sent


def played(sent: Sent, again: list[tuple[int, int]]) -> Pipe:
    """Every record in turn; after some of them an earlier one comes once more."""
    pipe = Pipe()
    pipe.tell(registered(**FILE))
    for n, lines in enumerate(sent):
        pipe.now += 0.2
        pipe.send(*lines)
        for after, which in again:
            if after == n:
                pipe.send(*sent[which % (n + 1)])
    return pipe


def decided(outputs: list[Output]) -> list[tuple[str, ...]]:
    """What was commanded and found, without the places it was computed from."""
    orders = [(c.scope, c.state, c.reason.text) for c in commands(outputs)]
    return orders + [(s.detector, s.sentence) for s in signals(outputs)]


@settings(max_examples=60)
@given(st.lists(acts, max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_a_stream_with_duplicates_is_the_stream(
    script: list[str], again: list[tuple[int, int]]
) -> None:
    """The same steps, totals and decisions, whatever comes twice."""
    sent = events(script)
    once, twice = played(sent, []), played(sent, again)

    assert decided(twice.out) == decided(once.out)
    assert totals(twice) == totals(once)
    assert {k: v.result_id for k, v in twice.steps().items()} == {
        k: v.result_id for k, v in once.steps().items()
    }


def totals(pipe: Pipe) -> list[object]:
    return [
        member.totals
        for join in pipe.joins.values()
        for _, trace in join.partition.states()
        for member in trace.members.values()
    ]


def test_a_whole_topic_twice_says_nothing_new() -> None:
    """A producer that begins again from the start."""
    sent = events(["ok", "error", "costly", "same"] * 4)
    pipe = played(sent, [])
    before = len(pipe.facts), len(pipe.out)
    for lines in sent:
        pipe.send(*lines)

    assert (len(pipe.facts), len(pipe.out)) == before


def test_without_deduplication_a_breaker_trips_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control: two calls that come twice are four."""
    told = Told()
    sent = [told.same(), told.same()]
    assert decided(played(sent, [(1, 0), (1, 1)]).out) == decided(played(sent, []).out)
    monkeypatch.setattr(Trace, "first_time", lambda self, event_id: True)

    assert decided(played(sent, [(1, 0), (1, 1)]).out) != decided(played(sent, []).out)


@pytest.mark.parametrize(("between", "again"), [(SEEN_KEPT - 4, 0), (SEEN_KEPT + 4, 2)])
def test_how_long_an_id_is_remembered(between: int, again: int) -> None:
    """1,024 events of the trace: far more than a producer has on its way. Beyond, it would count."""
    pipe, told = Pipe(), Told()
    first = told.call(0)
    pipe.send(*first)
    for _ in range(between // 32):
        pipe.send(*(told("thought") for _ in range(32)))
    pipe.send(*(told("thought") for _ in range(between % 32 or 1)))
    before = len(pipe.facts)
    pipe.send(*first)

    assert len(pipe.facts) - before == again
