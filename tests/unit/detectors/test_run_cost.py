"""What runs of a task cost on their way, and which one is dear: one healthy run in a hundred."""

import random

import pytest

from detectors import RunCost
from detectors.run_cost import PLACES, place


def way(rng: random.Random, steps: int, times: float = 1.0) -> list[float]:
    """Costs of a run at its places."""
    usd, spent = 0.0, list[float]()
    for step in range(1, steps + 1):
        usd += times * 0.01 * rng.lognormvariate(0.0, 0.7)
        spent[place(step) :] = [usd]
    return spent


def finished(rng: random.Random, runs: int, long: float = 0.0) -> RunCost:
    """What was learnt of so many runs, a share of them five times as long."""
    cost = RunCost()
    for _ in range(runs):
        steps = 1 + int(rng.expovariate(1 / 8))
        cost.update(way(rng, 5 * steps if rng.random() < long else steps), over=True)
    return cost


@pytest.mark.parametrize("long", [0.0, 0.1])
def test_one_healthy_run_in_a_hundred_warns(long: float) -> None:
    """Also where a tenth of the runs is of another kind: the limit is what finished runs stayed below."""
    warned = 0
    for seed in range(10):
        rng = random.Random(seed)
        cost = finished(rng, 400, long)
        for _ in range(600):
            steps = 1 + int(rng.expovariate(1 / 8))
            run = way(rng, 5 * steps if rng.random() < long else steps)
            warned += any(cost.update(run[: n + 1]) and cost.warns for n in range(len(run)))
            cost.update(run, over=True)

    assert 0.005 <= warned / 6000 <= 0.02


def test_a_dear_run_is_found_on_its_way() -> None:
    """Ten times as dear: long before it ends."""
    rng, found = random.Random(3), 0
    cost = finished(rng, 300)
    for _ in range(100):
        run = way(rng, 60, times=10.0)
        found += any(cost.update(run[: n + 1]) and cost.warns for n in range(5))  # 16 steps

    assert found >= 90


def test_length_alone_is_told_at_its_own_place() -> None:
    """A run is compared with what others had cost by then, not with what they cost in the end."""
    cost = RunCost()
    for _ in range(200):
        cost.update([0.01, 0.02, 0.04, 0.08, 0.16], over=True)
    early = cost.update([0.16])
    late = cost.update([0.01, 0.02, 0.04, 0.08, 0.16])

    assert early > cost.threshold > late == 0.0


def test_only_near_the_cap_it_asks_for_more_than_a_look() -> None:
    """A cap that is nearly reached alone is the affair of its own rule; dear alone is a warning."""
    cost, normal, dear = finished(random.Random(4), 300), [0.01], [3.0]
    seen = []
    for spent, of_cap in ((normal, 0.9), (dear, 0.0), (dear, 0.79), (dear, 0.8)):
        cost.update(spent, of_cap=of_cap)
        seen.append((cost.warns, cost.fires))

    assert seen == [(False, False), (True, False), (True, False), (False, True)]


def test_a_run_on_its_way_teaches_nothing() -> None:
    """Only what has ended is learnt; what is not over would teach that runs are cheap."""
    cost = finished(random.Random(5), 50)
    before = cost.evidence()["n"], cost.evidence()["threshold"]
    for _ in range(500):
        cost.update([1e-6])

    assert (cost.evidence()["n"], cost.evidence()["threshold"]) == before


def test_who_teaches_with_dear_runs_moves_little() -> None:
    """One run in two hundred at a thousand times the cost hides none at a hundred times."""
    rng = random.Random(6)
    taught = finished(rng, 300)
    for i in range(200):
        taught.update(way(rng, 8, times=1000.0 if i == 100 else 1.0), over=True)
    taught.update(way(rng, 8, times=100.0))

    assert taught.warns


@pytest.mark.parametrize("usd", [0.0, 1e-12, 1e300])
def test_amounts_that_no_run_costs_are_no_error(usd: float) -> None:
    """Nothing, next to nothing, and more than there is."""
    cost = RunCost()
    for _ in range(200):
        cost.update([usd] * PLACES, over=True)
    cost.update([usd])

    assert (cost.warns, cost.fires) == (False, False)
    assert cost.evidence()["observed"] == pytest.approx(usd, abs=1e-6)
