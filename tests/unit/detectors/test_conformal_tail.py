"""How rare a score is: a rank among those kept, a fitted tail beyond."""

import math
import pickle
import random

from hypothesis import given
from hypothesis import strategies as st

from detectors.conformal_tail import SURPRISE_MAX, ConformalTail

scores = st.lists(st.integers(0, 40).map(lambda n: n / 8), min_size=30, max_size=80)


@given(scores, st.integers(20, 50))
def test_below_the_tail_it_is_the_rank(stream: list[float], size: int) -> None:
    """-log10 of (1 + kept scores at least as high) / (1 + kept), of the last `size`."""
    tail, kept = ConformalTail(size, warm=20), list[float]()
    for score in stream:
        said = tail.update(score)
        above = sum(one >= score for one in kept)
        if len(kept) >= 20 and above >= 10:
            assert said == round(-math.log10((1 + above) / (1 + len(kept))), 6)
        kept = [*kept, score][-size:]

    assert tail.kept == len(kept)
    assert tail.highest == (max(kept) if len(kept) == size else None)


def test_what_is_expected_are_quantiles_of_the_kept() -> None:
    """An alarm record's expectation comes from the scores that calibrate it."""
    tail = ConformalTail(1001, warm=20)

    assert tail.quantiles() is None

    for i in range(1001):
        tail.update(i / 1000)

    assert tail.quantiles() == {"median": 0.5, "p95": 0.95, "p999": 0.999}


def test_nothing_is_said_of_the_first() -> None:
    """Until `warm` scores are kept, even the highest one means nothing."""
    tail = ConformalTail(100, warm=50)

    assert [tail.update(float(i)) for i in range(50)] == [0.0] * 50
    assert tail.update(1000.0) > 2


def test_beyond_all_kept_scores_higher_is_rarer() -> None:
    """A rank can't tell twice the maximum from ten times; the tail can, up to its bound."""
    tail, rng = ConformalTail(1000, warm=100), random.Random(7)
    for _ in range(1000):
        tail.update(rng.expovariate(1.0))
    said = [pickle.loads(pickle.dumps(tail)).update(x) for x in (5.0, 8.0, 12.0, 40.0, 1e38)]

    assert said == sorted(said)
    assert said[0] < said[1] < said[2] <= SURPRISE_MAX
    assert abs(said[2] - 12 / math.log(10)) < 1.5  # the truth: p = exp(-12)


def test_it_is_calibrated_on_independent_scores() -> None:
    """Of 20,000 scores alike about one in a hundred reaches 2, and one in a thousand 3."""
    tail, rng = ConformalTail(5000, warm=100), random.Random(7)
    said = [tail.update(abs(rng.gauss(0.0, 1.0))) for _ in range(20_000)]

    assert 0.005 < sum(s >= 2 for s in said) / 20_000 < 0.02
    assert 0.0003 < sum(s >= 3 for s in said) / 20_000 < 0.003


def test_equal_scores_are_no_surprise() -> None:
    """A series that never changes has distances of nothing: p is 1, and no tail is fitted."""
    tail = ConformalTail(100, warm=20)

    assert {tail.update(0.0) for _ in range(300)} == {0.0}
    assert tail.update(1e-30) > 1.9
