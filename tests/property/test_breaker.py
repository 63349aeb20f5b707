"""The breaker against a model of ten lines, and its laws under any script of events."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.agent.breaker import (
    JITTER,
    PROBES,
    WAIT_MAX,
    Breaker,
    Called,
    Calm,
    Ended,
    Event,
    Forced,
    Slowed,
    State,
    Tick,
    Tripped,
    Withdrawn,
    step,
)

SCOPE = "agent:acme/refunds"

calls = st.sampled_from("abcdef")
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Tripped, st.booleans()),
    st.just(Slowed()),
    st.builds(Called, calls),
    st.builds(Ended, calls, st.booleans()),
    st.builds(Withdrawn, calls),
    st.just(Tick()),
    st.builds(Forced, st.booleans()),
    st.just(Calm()),
)
pauses = st.sampled_from([0.0, 0.5, 10.0, 24.0, 36.0, 59.0, 61.0, 380.0, 700.0])
Script = list[tuple[Event, float]]
scripts = st.lists(st.tuples(events, pauses), max_size=80)


def play(script: Script) -> list[tuple[Event, float, Breaker, Breaker]]:
    """Each event with its time, the breaker before and after; the turn rises by one."""
    found, now, breaker = [], 1000.0, Breaker(SCOPE)
    for turn, (event, pause) in enumerate(script):
        now += pause
        after = step(breaker, event, now, turn)
        found.append((event, now, breaker, after))
        breaker = after
    return found


def model(was: dict[str, Any], event: Event, now: float, deadline: float) -> dict[str, Any]:
    """The table of the page on reliability, as plain as it stands there. Waits are not its affair."""
    s, hard, probes, clean = was["state"], was["hard"], dict(was["probes"]), was["clean"]
    to = ""
    if isinstance(event, Forced):
        to = "forced_open" if event.open else "half_open" if "open" in s.replace("half_", "") else s
        to = s if s == "half_open" and not event.open else to
    elif isinstance(event, Tripped) and s != "forced_open":
        kept = hard if s in ("open", "half_open") else False
        to, hard = "open", kept or not event.auto_close
    elif isinstance(event, Slowed) and s == "closed":
        to = "throttled"
    elif isinstance(event, Calm) and s == "half_open":
        to = "closed"
    elif isinstance(event, Tick) and now >= deadline:
        to = {"open": "half_open", "throttled": "closed", "half_open": "open"}[s]
    elif s == "half_open" and isinstance(event, Called) and len(probes) + clean < PROBES:
        probes.setdefault(event.call_id, now)
    elif s == "half_open" and isinstance(event, (Ended, Withdrawn)) and event.call_id in probes:
        del probes[event.call_id]
        clean += isinstance(event, Ended)
        to = "open" if isinstance(event, Ended) and event.failed else s
        to = "closed" if to == s and clean == PROBES else to
    if to not in ("", s):
        probes, clean = {}, 0
        hard = hard and to != "closed"
    return {"state": to or s, "hard": hard, "probes": probes, "clean": clean}


def as_model(breaker: Breaker) -> dict[str, Any]:
    return {
        "state": breaker.state.value, "hard": not breaker.auto_close,
        "probes": dict(breaker.out), "clean": breaker.clean,
    }  # fmt: skip


@given(scripts)
def test_it_is_its_table(script: Script) -> None:
    """State, hardness and probes are those of the model after every event."""
    for event, now, before, after in play(script):
        assert as_model(after) == model(as_model(before), event, now, before.deadline)


@given(scripts)
def test_closed_never_becomes_half_open(script: Script) -> None:
    """Probing follows a stop, never plain running; a throttled one is not stopped either."""
    moves = {(before.state, after.state) for _, _, before, after in play(script)}

    assert (State.CLOSED, State.HALF_OPEN) not in moves
    assert (State.THROTTLED, State.HALF_OPEN) not in moves
    assert (State.OPEN, State.CLOSED) not in moves
    assert (State.FORCED_OPEN, State.CLOSED) not in moves


@given(scripts)
def test_nobody_but_a_person_ends_a_forced_stop(script: Script) -> None:
    """FORCED_OPEN is left by a release alone, and then to HALF_OPEN."""
    for event, _, before, after in play(script):
        if before.state is State.FORCED_OPEN and after.state is not State.FORCED_OPEN:
            assert (event, after.state) == (Forced(open=False), State.HALF_OPEN)


@given(scripts)
def test_nobody_but_a_person_ends_a_hard_stop(script: Script) -> None:
    """OPEN without auto_close is left by a person alone."""
    for event, _, before, after in play(script):
        if before.state is State.OPEN and not before.auto_close:
            assert after.state is State.OPEN or isinstance(event, Forced)
            assert not after.auto_close or isinstance(event, Forced)


@given(scripts)
def test_each_change_has_its_epoch(script: Script) -> None:
    """Epochs rise with every change of state and only then, and are never below the turn."""
    for turn, (_, _, before, after) in enumerate(play(script)):
        if after.state is before.state and after.since == before.since:
            assert after.epoch in (before.epoch, max(before.epoch + 1, turn))
        if after.state is not before.state:
            assert after.epoch > before.epoch
            assert after.epoch >= turn


@given(scripts, st.sets(st.integers(0, 79), max_size=5))
def test_epochs_rise_also_for_who_has_forgotten(script: Script, forgets: set[int]) -> None:
    """A breaker that was evicted and made anew gives no command that looks older than the last."""
    now, breaker, highest = 1000.0, Breaker(SCOPE), -1
    for turn, (event, pause) in enumerate(script):
        now += pause
        if turn in forgets:
            breaker = Breaker(SCOPE)
        after = step(breaker, event, now, 10 + turn)
        if after.epoch != breaker.epoch:
            assert after.epoch > highest
            highest = after.epoch
        breaker = after


@given(scripts)
def test_waits_are_bounded_and_scattered_within_a_fifth(script: Script) -> None:
    """30 s doubled with each trip, at most 300 s, 20 % more or less; and the same computed again."""
    for _, _, _, after in play(script):
        middle = min(30.0 * 2 ** max(0, after.trips - 1), WAIT_MAX)

        assert middle * (1 - JITTER) <= after.wait <= middle * (1 + JITTER)
        assert after.wait == Breaker(SCOPE, epoch=after.epoch, trips=after.trips).wait


@given(scripts)
def test_no_deadline_stays_behind(script: Script) -> None:
    """After a tick nothing is due any more: a timer never fires twice for one reason."""
    for event, now, _, after in play(script):
        if isinstance(event, Tick):
            assert after.deadline > now


@given(scripts)
def test_it_is_bounded(script: Script) -> None:
    """At most three probes, on their way and clean together."""
    for _, _, _, after in play(script):
        assert len(after.out) + after.clean <= PROBES


clean = st.one_of(
    st.builds(Called, calls), st.builds(Ended, calls, st.booleans()), st.just(Tick()),
    st.builds(Withdrawn, calls), st.just(Forced(open=False)),
)  # fmt: skip


@given(st.lists(st.tuples(clean, pauses), max_size=80))
def test_traffic_alone_never_opens(script: Script) -> None:
    """Calls and their ends don't open: rules and people do."""
    assert all(after == Breaker(SCOPE) for _, _, _, after in play(script))


@given(scripts)
def test_the_same_events_give_the_same_breaker(script: Script) -> None:
    """Nothing but the events decides: no clock, no chance."""
    assert play(script) == play(script)
