"""What the judgement of trips promises: the agents' own records decide, in their own process's time."""

from ingest.simulate.journal import Call, Change
from tests.benchmarks.trips import Trip, Way, hops, trips

SCOPE = "run:bench/looper-1/"


def call(trace: str, start: int) -> Call:
    return Call(trace, 0, "web.search", start, start, start)


def change(trace: str, at: int, state: str = "open", rule: str = "exact_loop") -> Change:
    return Change(at, SCOPE + trace, state, f"cmd-{trace}", rule, last_emitted_at=at - 20)


def test_calls_are_counted_by_their_own_run() -> None:
    """Another run's calls in the same process are no calls after this one's stop."""
    calls = [call("a", 70), call("a", 85), call("b", 150), call("a", 101)]

    (trip,) = trips(calls, [change("a", 100)])
    assert (trip.before, trip.after) == (1, 1)


def test_only_the_loop_rule_counts_as_a_trip() -> None:
    """A breaker of another rule, a wider scope or a released one is no trip of this benchmark."""
    wider = Change(100, "agent:bench/looper-1", "open", "c", "exact_loop", last_emitted_at=80)
    others = [change("a", 100, rule="error_rate"), change("b", 100, state="closed"), wider]

    assert trips([], others) == []


def test_a_repeated_command_is_one_trip() -> None:
    """The first change of a run counts; a later one neither adds a trip nor moves it."""
    assert trips([], [change("a", 100), change("a", 900)]) == [
        Trip("cmd-a", "a", 80, 100, before=0, after=0)
    ]


def test_hops_add_up_to_the_whole_way() -> None:
    """No time between emit and gate is left out or counted twice."""
    trip = Trip("c", "t", 1_000, 41_000, 0, 0)
    found = hops([trip], {"c": Way(events=4_000, inbox=15_000, issued=33_500)})

    assert sum(values[0] for values in found.values()) == trip.stop_ms


def test_a_trip_without_rows_has_no_hops() -> None:
    """What the store does not know is left out, not taken for zero."""
    found = hops([Trip("c", "t", 1_000, 41_000, 0, 0)], {})

    assert all(values == [] for values in found.values())
