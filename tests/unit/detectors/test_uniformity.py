"""A detector whose p-values pile up at 0 demotes itself; one that is calibrated does not."""

import pickle
import random
from collections.abc import Callable, Iterator
from statistics import NormalDist

import pytest

from detectors import LatencyBaseline
from detectors.uniformity import SCORES_MIN, WINDOW_SECONDS, Uniformity

NORMAL = NormalDist()
PACE = 10.0  # seconds between two scores


def judged(values: Iterator[float], pace: float = PACE) -> tuple[bool, Uniformity]:
    """Whether it was ever ill, and what it knows at the end."""
    health, ever = Uniformity(), False
    for i, p in enumerate(values):
        health.add(p, 1.0 + pace * i)
        ever |= health.ill
    return ever, health


def scaled(seed: int, spread: float, count: int) -> Iterator[float]:
    """What a detector says of deviations that spread more than it supposes; 1 is exact."""
    rng = random.Random(seed)
    return (1 - NORMAL.cdf(spread * rng.gauss(0.0, 1.0)) for _ in range(count))


def test_a_calibrated_detector_stays() -> None:
    """400 agents of 2,000 exact p-values each: four windows, none ill."""
    assert sum(judged(scaled(seed, 1.0, 2000))[0] for seed in range(400)) == 0


def test_a_miscalibrated_detector_demotes_itself() -> None:
    """400 agents whose deviations are 1.8 times what is supposed: all of them within two windows."""
    found = [judged(scaled(seed, 1.8, 2 * SCORES_MIN)) for seed in range(400)]

    assert sum(ill for ill, _ in found) == 400
    assert found[0][1].facts(0.0)["check"] == "p below 0.01"


@pytest.mark.parametrize(
    ("seconds", "ill"),
    [
        (lambda rng: rng.lognormvariate(0.0, 0.4), False),
        (lambda rng: rng.expovariate(1.0), False),
        (lambda rng: rng.lognormvariate(0.0, 0.2) * (20 if rng.random() < 0.02 else 1), False),
        (lambda rng: rng.lognormvariate(0.0, 0.2) * (20 if rng.random() < 0.08 else 1), True),
    ],
)
def test_a_real_detector_is_judged_by_the_law_it_supposes(
    seconds: Callable[[random.Random], float], ill: bool
) -> None:
    """Latency that is lognormal or lighter is fine, also with one slow call in fifty; two kinds are not."""
    for seed in range(5):
        rng, latency = random.Random(seed), LatencyBaseline()
        said = [latency.chance for _ in range(2500) if latency.update(seconds(rng)) >= 0]

        assert judged(p for p in said if p is not None)[0] is ill


def test_one_bad_window_is_no_illness() -> None:
    """A fault may fill an hour with small p-values; two such in a row do not come of one."""
    fault = [1e-6] * SCORES_MIN
    fine = list(scaled(1, 1.0, 2 * SCORES_MIN))

    assert not judged(iter(fine + fault + fine))[0]
    assert judged(iter(fine + fault + fault))[1].ill


def test_a_burst_is_no_window() -> None:
    """However many scores come within minutes: an hour has to pass."""
    assert not judged(iter([1e-6] * 20_000), pace=WINDOW_SECONDS / 30_000)[0]


def test_what_is_well_again_counts_again() -> None:
    """One window as it should be is enough, and each change is told once."""
    health = Uniformity()
    told = []
    for i, p in enumerate([1e-6] * 2 * SCORES_MIN + list(scaled(2, 1.0, SCORES_MIN))):
        health.add(p, 1.0 + PACE * i)
        told.append(health.changed())

    assert [one for one in told if one is not None] == [True, False]


def test_it_costs_little() -> None:
    """Under 200 bytes in a checkpoint, whatever it has seen, and exact when restored."""
    (_, health) = judged(scaled(3, 1.8, 1700))
    restored = pickle.loads(pickle.dumps(health))

    assert restored == health
    assert len(pickle.dumps({"x": health})) <= 200
