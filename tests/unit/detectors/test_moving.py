"""What the moving mean and variance promise: river's numbers, to the bit, at a part of the price."""

import pickle
import random

import pytest
from river import stats

from detectors.moving import FADING, Moving


def series(kind: str) -> list[float]:
    rng = random.Random(kind)
    if kind == "logarithms":
        return [rng.gauss(-1.3, 0.7) for _ in range(2_000)]
    if kind == "flags":  # begins with zeros, of which a mean of 0 comes
        return [0.0] * 30 + [float(rng.random() < 0.05) for _ in range(2_000)]
    return [rng.uniform(-1.0, 1.0) * 10.0 ** rng.randint(-9, 9) for _ in range(2_000)]


@pytest.mark.parametrize("kind", ["logarithms", "flags", "wide"])
def test_it_gives_what_river_gives_to_the_bit(kind: str) -> None:
    """What was calibrated on river's estimators stays calibrated, and a stored run is decided alike."""
    usual, mean, variance = Moving(), stats.EWMean(FADING), stats.EWVar(FADING)
    for value in series(kind):
        usual.learn(value)
        mean.update(value)
        variance.update(value)

        assert (usual.mean, usual.variance) == (mean.get(), variance.get())


def test_it_comes_back_from_a_checkpoint_and_goes_on_alike() -> None:
    """By place: a state that lost its count would take its next value for its first."""
    usual = Moving()
    for value in series("logarithms"):
        usual.learn(value)
    loaded = pickle.loads(pickle.dumps(usual))
    for one in (usual, loaded):
        one.learn(0.25)

    assert (loaded.n, loaded.mean, loaded.square) == (usual.n, usual.mean, usual.square)
    assert loaded.n == 2_001
