"""Loops put into runs: that they are what they are called, and that the figures can be missed."""

from collections.abc import Callable
from random import Random

import pytest

from detectors import exact_loop
from ingest.simulate.script import Act
from stream.finding import progressing
from stream.join import join
from tests.benchmarks.detection import loops
from tests.benchmarks.promises import kept


def act(n: int) -> Act:
    return Act("crm.read", {"order": 1_000_000 + n}, {"text": f"order {n} is on its way"}, 0.0)


RUNS = [
    ("refund", [act(4 * n), act(4 * n + 1), act(4 * n + 2), act(4 * n + 3)]) for n in range(120)
]


def test_the_figures_hold_on_plain_runs() -> None:
    """Healthy runs go on, exact loops are stopped in the fourth round, near ones have to ask."""
    said = loops.measured(RUNS)

    assert (said["stopped"], said["asked"], said["by_the_4th"]) == (0, 0, 1.0)
    assert [said["near"][kind]["asked"] for kind in ("reworded", "stamped")] == [1.0, 1.0]
    assert all(kept(one) for one in loops.figures(said, said))


def test_without_the_rule_the_promise_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody counts repetition no exact loop is stopped."""
    monkeypatch.setattr(join, "repetition", lambda keys, since: (0, 0, 0))
    said = loops.measured(RUNS[:20])

    assert said["by_the_4th"] == 0.0
    assert not all(kept(one) for one in loops.figures(said, None))


def test_without_the_detector_near_loops_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks in other words is nobody else's to find."""
    monkeypatch.setattr(progressing, "called", lambda agent, step: iter(()))
    said = loops.measured(RUNS)

    assert {one["asked"] for one in said["near"].values()} == {0.0}


@pytest.mark.parametrize("kind", [loops.reworded, loops.stamped, loops.renewed])
def test_near_is_never_exact(kind: Callable[[Act, Random], Act]) -> None:
    """No near loop repeats a call with its result as often as the exact rule needs."""
    keys: list[str] = []
    for one in loops.near([act(1)], kind, seed=3):
        exact_loop.remember(keys, repr((one.args, one.result)))

    assert exact_loop.repetition(keys)[2] < 4


def test_the_naive_rule_is_what_it_says() -> None:
    """Four calls of one tool in a row, whatever they ask."""
    other = Act("crm.find", {}, None, 0.0)

    assert loops.naive([act(1), act(2), act(3), act(4)]) == 3
    assert loops.naive([act(1), act(2), act(3), other, act(4)]) is None
