"""Counts of what followed what: probabilities, the room they take, what goes first."""

import pickle
import random

import pytest

from detectors.backoff import NAME_MAX, Backoff, brief


def taught(runs: int = 30) -> Backoff:
    counts = Backoff()
    for i in range(runs):
        counts.learn(["find", "read" if i % 3 else "list", "update"])
    return counts


def test_the_next_call_is_one_of_all() -> None:
    """Over all names, the end and one unknown name the probabilities sum to one, in any context."""
    counts = taught()
    for before in (("", ""), ("", "find"), ("find", "read"), ("read", "unheard"), ("x", "y")):
        known = [*("find", "read", "list", "update"), None, "never"]
        total = sum(counts.p(before, call) for call in known)

        assert total == pytest.approx(1.0)


def test_nothing_is_impossible_and_nothing_certain() -> None:
    """A call never seen has a chance above 0, the only one ever seen one below 1."""
    counts = taught()

    assert 0.0 < counts.p(("", "find"), "drop") < counts.p(("", "find"), "update") < 0.05
    assert 0.9 < counts.p(("", ""), "find") < 1.0
    assert Backoff().p(("", ""), "find") == 1.0


def test_two_calls_say_more_than_one_once_they_were_seen_often() -> None:
    """A context of two calls decides what the last alone leaves open, but not after a few sightings."""
    few, many = Backoff(), Backoff()
    for counts, runs in ((few, 8), (many, 200)):
        for _ in range(runs):
            counts.learn(["a", "x", "a2"])
            counts.learn(["b", "x", "b2"])

    assert few.p(("a", "x"), "a2") == pytest.approx(few.p(("b", "x"), "a2"))
    assert many.p(("a", "x"), "a2") > 0.95 and many.p(("b", "x"), "a2") < 0.05


def test_a_task_type_has_habits_of_its_own() -> None:
    """What one task does always is rare in another that never does it; a new task begins as the agent."""
    counts = Backoff()
    for _ in range(50):
        counts.learn(["get", "pay"], task="refund")
        counts.learn(["get", "show"], task="report")
    before = ("", "get")

    assert counts.p(before, "pay", "refund") > 0.9
    assert counts.p(before, "pay", "report") < 0.02
    assert (
        counts.p(before, "pay", "new") == counts.p(before, "pay") == pytest.approx(0.49, abs=0.02)
    )


def test_room_is_bounded_whatever_comes() -> None:
    """50,000 calls of 5,000 long names in 500 task types keep a checkpoint below 10 kB."""
    counts, rng, most = Backoff(), random.Random(3), 0
    for i in range(5_000):
        counts.learn(
            [brief(f"{rng.randrange(5000):d}" * 30) for _ in range(10)], task=f"t{i % 500}"
        )
        most = max(most, len(pickle.dumps(counts)) if i % 50 == 0 else 0)

    assert 3_000 < most < 10_000


def test_what_was_seen_once_goes_first() -> None:
    """A flood of names seen once takes none of an agent's habits."""
    counts, rng = taught(200), random.Random(5)
    for _ in range(3_000):
        counts.learn([f"{rng.randrange(10**6)}" for _ in range(3)])
        counts.learn(["find", "read", "update"])

    assert counts.p(("", "find"), "read") > 0.9
    assert counts.knows("find") == "find"


def test_a_habit_that_ended_fades() -> None:
    """Once enough else was seen, an old habit is surprising again."""
    counts = Backoff()
    for _ in range(40_000):
        counts.learn(["old"])
    before = counts.p(("", ""), "new")
    for _ in range(40_000):
        counts.learn(["new"])

    assert before < 0.001
    assert counts.p(("", ""), "new") > 0.6  # halved once on the way; without that it were a half


def test_a_checkpoint_gives_the_same_counts() -> None:
    """After a pickle it learns and answers alike, and its bytes are the same."""
    counts = taught()
    again = pickle.loads(pickle.dumps(counts))
    for one in (counts, again):
        one.learn(["find", "new", "update"], task="t")

    assert again.p(("find", "new"), "update", "t") == counts.p(("find", "new"), "update", "t")
    assert (
        again.usual(("", "find"))
        == counts.usual(("", "find"))
        == [("read", 0.645), ("list", 0.323)]
    )
    assert pickle.dumps(pickle.loads(pickle.dumps(counts))) == pickle.dumps(again)


def test_long_names_stay_apart() -> None:
    """Names that differ in their end alone are shortened to different ones."""
    first, second = brief("x" * 100 + "a"), brief("x" * 100 + "b")

    assert first != second
    assert len(first) == len(second) == NAME_MAX
