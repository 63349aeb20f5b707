"""What the loop rule promises."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import ExactLoop

keys = st.lists(st.sampled_from("abcde"), max_size=80)


def repeats(keys: list[str], period: int) -> int:
    """How often the last `period` keys were just gone through, counted the slow way."""
    found = 0
    while keys[-period:] == keys[len(keys) - period * (found + 1) : len(keys) - period * found]:
        found += 1
        if period * (found + 1) > len(keys):
            break
    return found


def test_the_fourth_identical_call_fires() -> None:
    """The third time is a warning, the fourth the end: a model may be told first."""
    loop = ExactLoop()
    seen = [(loop.update("a"), loop.warns, loop.fires) for _ in range(4)]

    assert seen == [
        (1.0, False, False),
        (2.0, False, False),
        (3.0, True, False),
        (4.0, False, True),
    ]
    assert (loop.period, loop.repeats, loop.count, loop.cycle) == (1, 4, 4, ["a"])


def test_a_cycle_is_named_whole() -> None:
    """Of a cycle of three a person needs all keys, from the first call of its fourth round on."""
    loop = ExactLoop()
    for key in "xyz" + "abc" * 3:
        loop.update(key)

    assert loop.warns and not loop.fires
    assert (loop.period, loop.repeats, loop.cycle) == (3, 3, ["a", "b", "c"])
    assert loop.update("a") == 4.0 and loop.fires
    assert (loop.period, loop.repeats, loop.cycle) == (3, 3, ["b", "c", "a"])


def test_one_key_that_keeps_coming_back_counts() -> None:
    """The same call with the same result the 3rd time warns, the 4th fires, though no cycle shows."""
    loop = ExactLoop()
    for key in "apaqra":
        loop.update(key)

    assert loop.warns and not loop.fires
    for key in "stua":
        loop.update(key)
    assert loop.fires
    assert (loop.period, loop.count, loop.cycle) == (0, 4, ["a"])


@pytest.mark.parametrize(("others", "fires"), [(28, True), (29, False)])
def test_what_is_further_away_than_32_calls_is_forgotten(others: int, fires: bool) -> None:
    """Four times within the last 32 calls fire, four times within 33 do not."""
    loop = ExactLoop()
    for key in ["a", "a", "a", *(f"other-{i}" for i in range(others)), "a"]:
        fired = bool(loop.update(key)) and loop.fires

    assert fired == fires


def test_same_tool_with_other_results_is_work() -> None:
    """Pages of one listing have one tool and thirty results: no repetition."""
    loop = ExactLoop()

    assert {loop.update(f"list:page-{i}") for i in range(60)} == {1.0}


def test_polls_leave_no_trace() -> None:
    """A declared poll may ask for ever, and doesn't hide a loop that runs around it."""
    loop = ExactLoop()
    for _ in range(3):
        loop.update("poll", poll=True)
        loop.update("a")
    polled = (loop.update("poll", poll=True), loop.fires, loop.warns)

    assert polled == (0.0, False, False)
    assert loop.update("a") == 4.0 and loop.fires


@given(keys)
def test_it_agrees_with_the_slow_way(stream: list[str]) -> None:
    """Score, period and count equal those of a search through the last 32 keys."""
    loop, ring = ExactLoop(), list[str]()
    for key in stream:
        score = loop.update(key)
        ring = [*ring, key][-32:]
        rounds = {period: repeats(ring, period) for period in (1, 2, 3, 4)}
        most = max(rounds.values())

        assert score == max(ring.count(key), most)
        assert loop.count == ring.count(key)
        if most > 1:
            assert loop.period == min(p for p, r in rounds.items() if r == most)
        assert loop.fires == (score >= 4) and loop.warns == (score == 3)


@given(keys, keys)
def test_its_state_is_plain_json(before: list[str], after: list[str]) -> None:
    """A loop restored from its JSON state goes on alike."""
    loop = ExactLoop()
    for key in before:
        loop.update(key)
    restored = ExactLoop.from_state(json.loads(json.dumps(loop.state())))

    assert restored.evidence() == loop.evidence()
    assert [restored.update(key) for key in after] == [loop.update(key) for key in after]
    assert restored.state() == loop.state()
    assert len(restored.state()) <= 33


def test_no_state_is_a_fresh_loop() -> None:
    """A run that is met for the first time has an empty state."""

    assert ExactLoop.from_state([]).state() == ExactLoop().state() == [0]
