"""A conversation grows with each turn, and that is in order; a context that holds itself is not."""

import random

import pytest

from detectors import ContextGrowth


def fired(turns: list[int]) -> list[int]:
    growth = ContextGrowth()
    return [i for i, tokens in enumerate(turns) if growth.update(tokens) and growth.fires]


def conversation(rng: random.Random, turns: int) -> list[int]:
    """What a model is given: all that was said before, and results of very different length."""
    tokens, given = 1000.0, []
    for _ in range(turns):
        given.append(int(tokens))
        tokens += 300 * rng.lognormvariate(0.0, 0.7)
    return given


def test_conversations_are_silent() -> None:
    """500 of 60 turns: what grows by about the same each time stays below twice its mean, or near it."""
    rng = random.Random(1)

    assert [fired(conversation(rng, 60)) for _ in range(500)] == [[]] * 500


@pytest.mark.parametrize("times", [1.4, 2.0])
def test_a_context_that_multiplies_is_found(times: float) -> None:
    """By the tenth turn, and said once."""
    found = fired([int(500 * times**i) for i in range(16)])

    assert len(found) == 1
    assert found[0] <= 10


def test_one_long_page_is_no_growth() -> None:
    """Read and dropped again, even twice running; kept for three turns it is growth."""
    page = [1000] * 5 + [50_000] * 2 + [1000] * 20

    assert fired(page) == []
    assert fired([1000] * 5 + [50_000] * 3) == [7]


def test_turns_without_tokens_count_for_nothing() -> None:
    """A model that tells none, or something absurd."""
    growth = ContextGrowth()
    for tokens in (0, -5, 10**15):
        growth.update(tokens)

    assert (growth.n, growth.score) == (0, 0.0)
