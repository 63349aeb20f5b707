"""What the detector of odd steps promises."""

import math
import pickle
import random

import pytest

from detectors import StepVector, step_features


def usual(rng: random.Random) -> dict[str, float]:
    tokens = int(math.exp(rng.gauss(6.5, 0.5)))
    return step_features(
        rng.lognormvariate(0.0, 0.5), tokens * 3e-6, tokens, rng.random() < 0.03, rng.random() < 0.2
    )


def warmed(n: int = 1300) -> StepVector:
    rng, vector = random.Random(1), StepVector()
    for _ in range(n):
        vector.update(usual(rng))
    return vector


@pytest.mark.parametrize(
    ("step", "guilty"),
    [
        (step_features(1.0, 700 * 3e-5, 700, False, False), "cost_per_token"),
        (step_features(1.0, 700 * 3e-4, 70_000, False, False), "tokens"),
        (step_features(300.0, 700 * 3e-6, 700, False, False), "duration_per_token"),
    ],
)
def test_an_odd_step_fires_and_names_its_feature(step: dict[str, float], guilty: str) -> None:
    """A tenfold price, a hundredfold prompt or a call of minutes beats the last 1,000 scores."""
    vector = warmed()
    vector.update(step)
    contributions = vector.evidence()["contributions"]

    assert vector.fires and vector.p < 0.001
    assert isinstance(contributions, list)
    assert guilty in [term["feature"] for term in contributions[:2]]


def test_it_cannot_fire_before_it_can_know() -> None:
    """Below 1,000 scores nothing is said to be rare, however odd the step."""
    odd = step_features(9e5, 9e3, 900_000, True, True)
    early, late = warmed(1099), warmed(1101)
    early.update(odd)
    late.update(odd)

    assert (early.fires, late.fires) == (False, True)
    assert early.p == 1.0 > 1e-6 > late.p


def test_what_is_further_out_is_rarer() -> None:
    """Ranks can't tell a step above all others from one far above them; a busy agent's budget asks."""
    near, far = warmed(), warmed()
    near.update(step_features(1.0, 700 * 3e-5, 700, False, False))
    far.update(step_features(1.0, 700 * 3e-3, 700, False, False))

    assert near.fires and far.fires
    assert near.p > 100 * far.p


def test_a_rare_flag_does_not_drown_the_magnitudes() -> None:
    """A failed step (3 in 100 are) scores below one with a tenfold price."""
    vector = warmed()
    failed = vector.score_one(step_features(1.0, 700 * 3e-6, 700, True, False))
    dear = vector.score_one(step_features(1.0, 700 * 3e-5, 700, False, False))

    assert failed < dear


def test_update_is_score_then_learn() -> None:
    """River's two verbs give what `update` gives; the score never knows the step it judges."""
    rng, vector, other = random.Random(2), StepVector(), StepVector()
    for _ in range(600):
        step = usual(rng)
        score = other.score_one(step)
        other.learn_one(step)

        assert vector.update(step) == score


def test_scoring_changes_nothing() -> None:
    """`score_one` may be asked any number of times."""
    vector = warmed(200)
    before = pickle.dumps(vector)
    vector.score_one({"cost": 99.0, "never seen": 1.0})

    assert pickle.dumps(vector) == before


def test_missing_features_are_left_out() -> None:
    """A step that reports half of its features is judged by these."""
    vector = warmed()

    assert 0 < vector.score_one({"cost": 7.6, "tokens": 6.5}) < 0.5
    assert vector.score_one({}) == 0.0


def test_a_new_feature_is_learnt_before_it_counts() -> None:
    """A feature that appears later has no say for 100 steps, then alarms like the others."""
    rng, vector = random.Random(3), warmed()
    fired = 0
    for _ in range(200):
        vector.update(usual(rng) | {"retries": rng.gauss(50.0, 5.0)})
        fired += vector.fires
    odd = vector.score_one(usual(rng) | {"retries": 200.0})

    assert fired == 0 and odd > 0.9


def test_an_absurd_step_teaches_little() -> None:
    """A value a thousand deviations out moves what is normal no more than one of six does."""
    far, near = warmed(), warmed()
    far.learn_one({"cost": 1e6})
    near.learn_one({"cost": 20.0})
    steps = [usual(random.Random(seed)) for seed in range(20)]

    assert [far.score_one(step) for step in steps] == [near.score_one(step) for step in steps]


def test_features_are_bounded() -> None:
    """Whatever names come in, state stays below 8 kB."""
    rng, vector = random.Random(4), StepVector()
    for i in range(3000):
        vector.update({f"feature-{(i + k) % 500}": rng.random() for k in range(20)})

    assert len(pickle.dumps(vector)) <= 8192


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_feature_is_ignored(value: float) -> None:
    """An absurd value neither scores nor teaches, and the rest of the step still counts."""
    rng, vector = random.Random(5), StepVector()
    for _ in range(400):
        vector.update(usual(rng) | {"cost": value})

    assert vector.score_one({"cost": 3.0}) == 0.0
    assert 0 < vector.score_one(usual(rng)) < 1


def test_a_constant_stream_still_sees_a_change() -> None:
    """When every score was 0 the first one above it fires."""
    vector = StepVector()
    for _ in range(1101):
        vector.update({"cost": 5.0})
    vector.update({"cost": 5.5})

    assert vector.fires and vector.threshold == 0.0


def test_garbage_in_the_step_gives_finite_features() -> None:
    """Negative claims count as nothing."""

    assert set(step_features(-1.0, -2.0, -3, False, False).values()) == {0.0}


def test_a_machine_that_stalls_for_a_moment_is_no_odd_step() -> None:
    """A call of 3 ms that takes 30 is like the others; one of a second that takes ten is not."""
    rng, scores = random.Random(7), dict[float, float]()
    for seconds in (0.003, 1.0):
        vector = StepVector()
        for _ in range(300):
            vector.update(step_features(seconds * rng.uniform(0.9, 1.1), 0.003, 1000, False, False))
        scores[seconds] = vector.update(step_features(seconds * 10, 0.003, 1000, False, False))

    assert scores[0.003] < 3 / (1 + 3)  # three deviations
    assert scores[1.0] > 5 / (1 + 5)
