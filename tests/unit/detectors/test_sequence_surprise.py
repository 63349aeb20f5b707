"""Surprise of a run's calls: when it alarms, what it compares with, what it never learns."""

import pickle
import random
import time

import pytest

from detectors import SequenceSurprise, Walk


def errand(rng: random.Random) -> list[str]:
    return ["find", *[rng.choice(("read", "list"))] * rng.randrange(1, 4), "update"]


def taught(runs: int = 60) -> SequenceSurprise:
    detector, rng = SequenceSurprise(), random.Random(11)
    for _ in range(runs):
        for call in errand(rng):
            detector.update(call)
        detector.update(None)
    return detector


def played(detector: SequenceSurprise, calls: list[str], walk: Walk | None = None) -> list[bool]:
    walk = walk or Walk()
    return [bool(detector.update(call, walk)) and detector.fires for call in calls]


def test_it_alarms_at_the_request_of_the_call() -> None:
    """The call that nobody makes there raises the alarm itself, not one after it."""

    assert played(taught(), ["find", "read", "erase", "update"]) == [False, False, True, False]


def test_the_usual_is_silent() -> None:
    """200 runs of the kind that was learnt raise at most the two in a hundred that its p allows."""
    detector, rng = taught(100), random.Random(12)
    fired = sum(any(played(detector, errand(rng))) for _ in range(200))

    assert fired <= 4


def test_it_is_usable_after_25_runs() -> None:
    """After 25 runs of four or more calls it is live and finds a call never made; after 24 it is not."""

    assert not any(played(taught(24), ["find", "erase"]))
    assert played(taught(25), ["find", "erase"])[-1]


def test_a_run_alarms_once_but_each_surprise_is_told_apart() -> None:
    """After an alarm the run raises no other; `odd` still says that a later call surprises as well."""
    detector, walk = taught(), Walk()
    fired, odd = [], []
    for call in ("find", "erase", "read", "drop", "read", "wipe"):
        detector.update(call, walk)
        fired.append(detector.fires)
        odd.append(detector.odd)

    assert fired == [False, True, False, False, False, False]
    assert odd == [False, True, False, True, False, True]


def test_what_is_not_to_be_learnt_teaches_nothing() -> None:
    """A hundred runs that were refused leave the surprise of their calls as it was."""
    detector = taught()
    before = detector.score_one(["find", "erase", "update"])
    for _ in range(100):
        walk = Walk()
        played(detector, ["find", "erase", "update"], walk)
        detector.update(None, walk, learn=False)
    after = detector.score_one(["find", "erase", "update"])
    for _ in range(100):
        detector.learn_one(["find", "erase", "update"])

    assert before == after > 2.0
    assert detector.score_one(["find", "erase", "update"]) < 1.0


def test_open_runs_do_not_mix() -> None:
    """Two runs whose calls alternate are scored as if each were alone."""
    detector = taught()
    alone = [detector.score_one(["find", "read", "update"]), detector.score_one(["find", "erase"])]
    first, second = Walk(), Walk()
    for one, other in (("find", "find"), ("read", "erase")):
        detector.update(one, first)
        detector.update(other, second)
    detector.update("update", first)

    assert detector.update(None, first, learn=False) == alone[0] < 2.0
    assert detector.update(None, second, learn=False) == alone[1] >= 2.0


def test_looking_often_raises_no_false_alarm() -> None:
    """What is compared while a run goes on never falls, so its last value stands for all."""
    detector, walk = taught(), Walk()
    calls = ("find", "update", "read", "find", "list", "update")
    scores = [detector.update(call, walk) for call in calls]

    assert scores == sorted(scores)


def test_a_run_costs_little_state() -> None:
    """A run of 1,000 calls, most of them of names never seen, adds at most 0.9 kB to a checkpoint."""
    detector, walk = taught(), Walk()
    played(
        detector, [f"{'very-long-name' * 5}-{i}" if i % 3 else "read" for i in range(1000)], walk
    )

    assert len(pickle.dumps((detector, walk))) - len(pickle.dumps(detector)) < 900
    assert walk.n == 1000 and not walk.whole


def test_evidence_says_what_is_usual_there() -> None:
    """It names the call, the one before, how often they went together and what goes there instead."""
    detector = taught()
    played(detector, ["find", "update"])
    evidence = detector.evidence()

    assert (evidence["after"], evidence["call"], evidence["seen"], evidence["of"]) == (
        "find", "update", 0, 60,
    )  # fmt: skip
    assert [name for name, _ in evidence["usual"]] == ["read", "list"]  # type: ignore[union-attr, misc]
    assert evidence["bits"] > 5  # type: ignore[operator]


@pytest.mark.parametrize("task", ["", "refund"])
def test_a_call_costs_a_few_microseconds(task: str) -> None:
    """A call takes less than 40 µs of CPU, mean, on whatever machine runs this; 4 to 5 on ours."""
    detector, rng = taught(100), random.Random(3)
    runs = [errand(rng) for _ in range(200)]
    took = []
    for _ in range(
        3
    ):  # the least counts: the collector may come, and has thousands of tests to look at
        begun = time.thread_time()
        for run in runs:
            played(detector, run)
        took.append(time.thread_time() - begun)

    assert min(took) / sum(map(len, runs)) < 40e-6


def test_what_is_common_is_never_odd() -> None:
    """Runs of one call are all alike, so any is rare among them; a call of one in three is no surprise."""
    rng, detector, odd, tools = random.Random(3), SequenceSurprise(), 0, ("pay", "refund", "close")
    for _ in range(50):
        for _ in range(20):
            detector.update(rng.choice(tools))
        detector.update(None)
    for _ in range(2000):
        detector.update(rng.choice(tools))
        odd += detector.odd
        detector.update(None)
    detector.update("erase")

    assert odd == 0
    assert detector.odd
