"""What a token costs: found from the first calls, frozen, and no matter of how a call is made up."""

import random

import pytest

from detectors import PriceMismatch

IN, OUT = 3e-6, 15e-6


def cost(tokens_in: int, tokens_out: int, times: float = 1.0) -> tuple[float, int, int]:
    return times * (IN * tokens_in + OUT * tokens_out), tokens_in, tokens_out


def learnt(rng: random.Random, calls: int = 300) -> PriceMismatch:
    price = PriceMismatch()
    for _ in range(calls):
        price.update(*cost(rng.randrange(100, 4000), rng.randrange(10, 400)))
    return price


def test_the_price_of_both_kinds_of_tokens_is_found() -> None:
    """From costs alone, without a list."""
    told = learnt(random.Random(1)).evidence()

    assert told["input_usd_per_million"] == pytest.approx(3.0, rel=0.01)
    assert told["output_usd_per_million"] == pytest.approx(15.0, rel=0.01)


def test_more_output_is_no_other_price() -> None:
    """An agent that begins to write instead of read pays four times as much a token, and that is in order."""
    price = learnt(random.Random(2))
    a_token = [price.update(*cost(100, 4000)) for _ in range(200)]

    assert max(a_token) < 1.0
    assert not price.fires


@pytest.mark.parametrize("times", [1.3, 0.7])
def test_dearer_and_cheaper_are_told(times: float) -> None:
    """Cheaper tokens are another model under the same name; how much it is stands in the evidence."""
    price = learnt(random.Random(3))
    fired = [i for i in range(20) if price.update(*cost(1000, 100, times)) and price.fires]

    assert len(fired) == 1
    assert fired[0] <= 5
    assert price.evidence()["observed"] == pytest.approx(times, rel=0.01)


def test_two_dear_calls_are_no_other_price() -> None:
    """A retry that is billed twice, and once more, is no mismatch; three in a row are."""
    price, fired = learnt(random.Random(4)), []
    for times in (9.0, 9.0, *[1.0] * 30, 9.0, 9.0, 9.0):
        price.update(*cost(1000, 100, times))
        fired.append(price.fires)

    assert fired.index(True) == 34


def test_who_raises_the_price_slowly_is_found() -> None:
    """Half a per mille a call, for good: the reference is frozen; one that moves along learns it."""
    creeping = [1.0005**i for i in range(1500)]
    frozen, moving, found = learnt(random.Random(5)), learnt(random.Random(5)), [0, 0]
    for i, times in enumerate(creeping):
        if i % 100 == 0:  # what an adaptive baseline would be
            moving = PriceMismatch()
            for _ in range(120):
                moving.update(*cost(1000, 100, times))
        for which, price in enumerate((frozen, moving)):
            price.update(*cost(1000, 100, times))
            found[which] += price.fires

    assert found == [2, 0]


@pytest.mark.parametrize(
    "call", [(0.0, 10, 1), (-1.0, 10, 1), (float("nan"), 10, 1), (0.1, 0, 0), (0.1, -5, 9), (1e99, 1, 1)]
)  # fmt: skip
def test_a_call_that_tells_no_price_is_left_out(call: tuple[float, int, int]) -> None:
    """Free ones, those without tokens, and amounts that can't be."""
    price = learnt(random.Random(6))
    before = price.evidence()
    price.update(*call)

    assert price.evidence() == before


def test_a_model_that_never_answers_has_one_price() -> None:
    """Embeddings have no tokens out; their price is found, and its change."""
    price = PriceMismatch()
    for _ in range(200):
        price.update(1e-7 * 500, 500, 0)
    fired = [price.update(3e-7 * 500, 500, 0) and price.fires for _ in range(5)]

    assert price.evidence()["input_usd_per_million"] == pytest.approx(0.1)
    assert any(fired)
