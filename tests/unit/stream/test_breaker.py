"""What the breaker of one scope promises, case by case."""

from dataclasses import replace
from math import inf

import pytest

from stream.agent.breaker import (
    FORGIVE,
    JITTER,
    PROBES,
    WAIT,
    WAIT_MAX,
    Breaker,
    Called,
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

SCOPE = "tool:acme/refunds/crm.find"
SOFT, HARD = Tripped(auto_close=True), Tripped(auto_close=False)
CLOSED = Breaker(SCOPE)
OPEN = step(CLOSED, SOFT, 1000.0, 7)
HALF = step(OPEN, Tick(), OPEN.deadline, 8)


def play(breaker: Breaker, *events: Event, now: float = 2000.0) -> Breaker:
    for turn, event in enumerate(events, breaker.epoch + 1):
        breaker = step(breaker, event, now, turn)
    return breaker


def test_a_trip_opens_and_time_alone_half_opens() -> None:
    """Nobody has to ask: a tick at the deadline half-opens it, one before does nothing."""
    before = step(OPEN, Tick(), OPEN.deadline - 0.001, 8)

    assert (OPEN.state, OPEN.stopped, OPEN.epoch, OPEN.trips) == (State.OPEN, True, 7, 1)
    assert before is OPEN
    assert (HALF.state, HALF.stopped, HALF.deadline) == (State.HALF_OPEN, False, inf)


def test_three_clean_probes_close_it() -> None:
    """Two are not enough; the third lets everything run again."""
    probing = play(HALF, Called("a"), Called("b"), Called("c"))
    two = play(probing, Ended("b", False), Ended("a", False))

    assert two.state is State.HALF_OPEN
    assert play(two, Ended("c", False)).state is State.CLOSED


def test_one_bad_probe_opens_it_for_longer() -> None:
    """The second wait is twice the first, but for the jitter of each."""
    again = play(HALF, Called("a"), Called("b"), Ended("a", False), Ended("b", True))

    assert (again.state, again.trips, again.out, again.clean) == (State.OPEN, 2, (), 0)
    assert 2 * WAIT * (1 - JITTER) <= again.wait <= 2 * WAIT * (1 + JITTER)


def test_a_fourth_call_is_no_probe() -> None:
    """No more than three, those that ended cleanly included; what it brings counts for nothing."""
    probing = play(HALF, Called("a"), Called("b"), Ended("a", False), Called("c"), Called("d"))

    assert [call for call, _ in probing.out] == ["b", "c"]
    assert play(probing, Ended("d", True)) == probing


def test_calls_from_before_the_trip_are_no_probes() -> None:
    """Their results come in while it is half open, and tell nothing new."""
    assert play(HALF, Ended("x", True), Ended("y", False)) == HALF


def test_a_lost_probe_opens_it_again() -> None:
    """60 s after its own start, not after that of the latest; without a probe it waits for ever."""
    first = step(HALF, Called("a"), 2000.0, 9)
    probing = step(first, Called("b"), 2050.0, 10)

    assert step(probing, Tick(), 2059.9, 11) is probing
    assert step(probing, Tick(), 2060.0, 11).state is State.OPEN
    assert step(HALF, Tick(), 1e9, 11) is HALF


def test_a_probe_that_never_ran_frees_its_place() -> None:
    """A call that was refused elsewhere is neither a success nor a lost probe."""
    probing = play(HALF, Called("a"), Called("b"), Called("c"), Withdrawn("b"), Called("d"))

    assert [call for call, _ in probing.out] == ["a", "c", "d"]
    assert play(probing, Withdrawn("a"), Withdrawn("c"), Withdrawn("d")).deadline == inf
    assert play(probing, Withdrawn("never-seen")) == probing


def test_the_same_call_is_one_probe() -> None:
    """A call that is announced twice takes one place."""
    assert len(play(HALF, Called("a"), Called("a")).out) == 1


def test_what_a_person_has_to_end_stays() -> None:
    """No tick ends it, however late; a harder reason makes a soft stop hard, never the other way."""
    hard = step(CLOSED, HARD, 1000.0, 7)

    assert hard.deadline == inf
    assert step(hard, Tick(), 1e9, 8) is hard
    assert step(hard, SOFT, 1001.0, 8) is hard
    assert step(OPEN, HARD, 1001.0, 8) == replace(OPEN, auto_close=False)


def test_a_soft_trip_while_half_open_does_not_soften() -> None:
    """Released by a person, failing again: it is the person who has to look again."""
    released = play(step(CLOSED, HARD, 1000.0, 7), Forced(open=False))

    assert play(released, SOFT).deadline == inf
    assert play(released, Called("a"), Ended("a", True)).deadline == inf
    assert play(HALF, HARD).deadline == inf
    assert play(HALF, SOFT).deadline < inf


def test_closing_forgets_what_held_it() -> None:
    """After three clean probes a soft trip is soft again."""
    calls = [event for call in "abc" for event in (Called(call), Ended(call, False))]
    closed = play(step(CLOSED, HARD, 1000.0, 7), Forced(open=False), *calls)

    assert closed.state is State.CLOSED
    assert play(closed, SOFT).deadline < inf
    stopped = play(closed, Forced(open=True), Forced(open=False), Called("d"), Ended("d", True))
    assert stopped.deadline < inf


@pytest.mark.parametrize("breaker", [CLOSED, OPEN, HALF, step(CLOSED, Slowed(), 1.0, 1)])
def test_a_person_stops_every_state(breaker: Breaker) -> None:
    """And nothing but the release of a person ends that: to half open, never straight to closed."""
    forced = step(breaker, Forced(open=True), 3000.0, 20)
    others = (SOFT, HARD, Slowed(), Called("a"), Ended("a", False), Tick(), Forced(open=True))

    assert (forced.state, forced.deadline, forced.stopped) == (State.FORCED_OPEN, inf, True)
    for event in others:
        assert step(forced, event, 1e9, 21) is forced
    assert step(forced, Forced(open=False), 3001.0, 21).state is State.HALF_OPEN


def test_a_release_without_a_stop_changes_nothing() -> None:
    """Closed stays closed: half open follows a stop only."""
    throttled = step(CLOSED, Slowed(), 1.0, 1)

    assert step(CLOSED, Forced(open=False), 1.0, 1) is CLOSED
    assert step(HALF, Forced(open=False), 1.0, 1) is HALF
    assert step(throttled, Forced(open=False), 1.0, 2) is throttled


def test_throttled_returns_by_itself() -> None:
    """Slow calls are spaced for a while, then run freely; a trip meanwhile opens."""
    slow = step(CLOSED, Slowed(), 1000.0, 7)

    assert (slow.state, slow.stopped) == (State.THROTTLED, False)
    assert step(slow, Slowed(), 1001.0, 8) is slow
    assert step(slow, Tick(), slow.deadline - 0.001, 8) is slow
    assert step(slow, Tick(), slow.deadline, 8).state is State.CLOSED
    assert step(slow, SOFT, 1001.0, 8).state is State.OPEN


def test_waits_double_up_to_five_minutes() -> None:
    """30, 60, 120, 240, 300 s and no more, each within 20 % of that."""
    waits = [Breaker(SCOPE, State.OPEN, trips=trips).wait for trips in (1, 2, 3, 4, 5, 6)]

    for wait, middle in zip(waits, (30, 60, 120, 240, 300, 300), strict=True):
        assert middle * 0.8 <= wait <= middle * 1.2


def test_days_of_trips_have_a_wait_too() -> None:
    """A tool that stays broken over a long weekend trips more than 1,024 times."""
    wait = Breaker(SCOPE, State.OPEN, trips=5000).wait

    assert wait <= WAIT_MAX * (1 + JITTER)


def test_waits_scatter_but_are_no_accident() -> None:
    """Scopes come back at different moments, and each at the same in every replay."""
    waits = {Breaker(f"agent:acme/a{i}", State.OPEN, epoch=9, trips=1).wait for i in range(100)}

    assert len(waits) == 100
    assert max(waits) - min(waits) > WAIT * JITTER
    assert Breaker("agent:acme/a1", State.OPEN, epoch=9, trips=1).wait == pytest.approx(
        25.9242, abs=1e-4
    )


@pytest.mark.parametrize(("calm", "trips"), [(FORGIVE - 1, 2), (FORGIVE, 1)])
def test_ten_calm_minutes_forgive(calm: float, trips: int) -> None:
    """So long closed, and the next trip waits short again."""
    calls = [event for call in "abc" for event in (Called(call), Ended(call, False))]
    closed = play(HALF, *calls, now=2000.0)

    assert step(closed, SOFT, 2000.0 + calm, 99).trips == trips


def test_a_forgotten_breaker_does_not_repeat_its_epochs() -> None:
    """Commands are ordered by offset where the breaker itself has forgotten: a later one is higher."""
    known = play(CLOSED, SOFT, Forced(open=True), Forced(open=False))
    fresh = step(Breaker(SCOPE), SOFT, 3000.0, 1000)

    assert fresh.epoch == 1000 > known.epoch


def test_probes_are_bounded() -> None:
    """Any number of calls leaves at most three ids."""
    breaker = play(HALF, *(Called(f"call-{i}") for i in range(1000)))

    assert len(breaker.out) == PROBES
