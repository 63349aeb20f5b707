"""Kinds of answers: one that never came and comes again is news where novelties are rare, else nothing is."""

import random

import pytest

from detectors import NewTemplate


def fired(kinds: list[str]) -> list[int]:
    detector = NewTemplate()
    return [i for i, kind in enumerate(kinds) if detector.update(kind) and detector.fires]


USUAL = ["found", "nothing"] * 150


def test_it_is_news_at_the_third_time() -> None:
    """Once and twice may be chance; from then on it is known."""
    assert fired([*USUAL, "locked", "found", "locked", "found", "locked", *["locked"] * 100]) == [
        304
    ]


def test_what_comes_seldom_is_no_news() -> None:
    """Three times within 40 answers, or it is one of the tool's rare kinds."""
    seldom = [*USUAL, *["locked", *["found"] * 20] * 5]
    often = [*USUAL, *["locked", *["found"] * 18] * 5]

    assert fired(seldom) == [] and fired(often) == [338]


def test_a_young_tool_has_no_news() -> None:
    """Its kinds are still being learnt: 200 answers are seen before the first alarm."""
    assert fired([*["found"] * 150, *["locked"] * 10]) == []


def test_a_tool_of_endless_kinds_is_never_heard_of() -> None:
    """Also when one of its kinds comes again and again."""
    rng = random.Random(7)
    kinds = [f"page-{rng.randrange(10**9)}" for _ in range(1000)]

    assert fired([*kinds, *["login"] * 20]) == []


@pytest.mark.parametrize("size", [3, 30, 60, 90, 300])
def test_however_many_kinds_there_are_healthy_tools_are_silent(size: int) -> None:
    """Kinds as skewed as words, more of them than are remembered: next to no alarm in 40,000 answers."""
    said = 0
    for seed in range(20):
        rng = random.Random(seed)
        weights = [1 / (rank + 1) for rank in range(size)]
        said += len(fired([f"{k}" for k in rng.choices(range(size), weights, k=2000)]))

    assert said <= 2


def test_nothing_is_fresh_where_everything_is_new() -> None:
    """So an error rate says nothing of new kinds at a tool that has only such."""
    detector = NewTemplate()
    for n in range(300):
        detector.update(f"page-{n}")
        assert not detector.fresh


def test_fresh_tells_of_the_newest_answer_alone() -> None:
    """It stands beside the tool's error rate: is this error one of the new kind?"""
    detector = NewTemplate()
    for kind in [*USUAL, "locked"]:
        detector.update(kind)
    first = detector.fresh
    detector.update("found")
    between = detector.fresh
    for kind in ["found"] * 37:
        detector.update(kind)
    detector.update("locked")
    later = detector.fresh
    for kind in ["found"] * 40:
        detector.update(kind)
    detector.update("locked")

    assert (first, between, later, detector.fresh) == (True, False, True, False)
