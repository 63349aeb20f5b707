"""The limit of calls without news: what moves it, and what does not."""

import pickle
import random

import pytest

from detectors import NoProgress


def after(runs: int, longest: int) -> NoProgress:
    """A detector that has seen so many runs of six calls, with such a longest row without news."""
    usual = NoProgress()
    for _ in range(runs):
        for calls in (0, 0, 0, 0, 0):
            usual.update(calls)
        usual.update(longest, ended=True)
    return usual


@pytest.mark.parametrize(
    ("runs", "longest", "limit"), [(0, 0, 16), (29, 3, 16), (30, 3, 8), (100, 3, 8), (100, 12, 13)]
)
def test_the_limit_follows_the_ended_runs(runs: int, longest: int, limit: int) -> None:
    """16 before 30 runs have ended, then one more than usual, and never below 8."""

    assert after(runs, longest).limit == limit


def test_one_long_run_in_two_hundred_moves_nothing() -> None:
    """The limit is what 99 in a hundred runs stay within."""
    usual = after(200, 2)
    usual.update(60, ended=True)
    before = usual.limit
    for _ in range(3):
        usual.update(60, ended=True)

    assert (before, usual.limit) == (8, 17)  # each long run teaches twice the limit at most


def test_the_quantile_is_exact_until_old_runs_fade() -> None:
    """Against a sorted list of the same runs."""
    rng, usual, runs = random.Random(3), NoProgress(), list[int]()
    for n in range(1, 1500):
        longest = min(int(rng.expovariate(0.3)), 14)
        runs.append(longest)
        usual.update(longest, ended=True)
        if n >= 30:
            exact = sorted(runs)[-(-n * 99 // 100) - 1]
            assert usual.limit == max(8, exact + 1)


def test_old_habits_fade() -> None:
    """An agent that has learnt to get on is held to that, after as many runs as it forgot the old ones."""
    usual = after(1_000, 12)
    for _ in range(30_000):
        usual.update(1, ended=True)

    assert usual.limit == 8
    assert len(pickle.dumps(usual)) < 700
