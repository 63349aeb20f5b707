"""A task's runs against their frozen reference: tools, order, steps, cost, failures."""

import pickle
import random
from typing import Any

import pytest

from detectors import SequenceSurprise, TaskDrift
from detectors.task_drift import TOOLS_MAX

TOOLS = ["find", "read", "list", "note"]
REFERENCE = TaskDrift.n0


def run(
    rng: random.Random, steps: float = 1.0, price: float = 1.0, bad: float = 0.04
) -> tuple[Any, ...]:
    """A run of two to nine calls, each run with likings of its own."""
    calls = rng.choices(TOOLS, [rng.expovariate(1.0) for _ in TOOLS], k=rng.randrange(2, 10))
    calls = calls[: max(1, round(len(calls) * steps))]
    return calls, len(calls), price * 0.01 * len(calls), rng.random() < bad


def told(runs: int, **fault: float) -> tuple[int | None, TaskDrift]:
    """Runs with the fault until it fires, and the detector."""
    rng, drift = random.Random(1), TaskDrift()
    for _ in range(600):
        drift.update(*run(rng))
        assert not drift.fires
    for i in range(runs):
        drift.update(*run(rng, **fault))
        if drift.fires:
            return i + 1, drift
    return None, drift


FAULTS: list[tuple[str, dict[str, float]]] = [
    ("steps", {"steps": 0.5}), ("cost", {"price": 2.0}), ("failures", {"bad": 0.25}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "fault"), FAULTS, ids=lambda one: str(one)[:8])
def test_what_moved_is_found_and_named_first(what: str, fault: dict[str, float]) -> None:
    """Half the steps, the double price, failures of every fourth run."""
    found, drift = told(400, **fault)
    names: Any = drift.evidence()["what"]

    assert found is not None and found <= 300
    assert names[0][0] == what


def test_runs_that_stay_as_they_are_are_no_drift() -> None:
    """5,000 runs after the reference, in crowds of like calls; the twin of all others here."""
    found, drift = told(5_000)

    assert found is None
    assert drift.status == "live"


def test_it_says_nothing_until_its_reference_is_frozen() -> None:
    """However the first 200 runs change."""
    rng, drift = random.Random(2), TaskDrift()
    for n in range(REFERENCE):
        assert drift.update(*run(rng, price=1.0 + n / 20)) == 0.0

    assert drift.status == "live"
    assert drift.evidence()["n"] == REFERENCE


def test_a_new_tool_is_found_where_names_have_run_out() -> None:
    """Names come from the agent: the eighth and all after it share a place."""
    drift, rng = TaskDrift(), random.Random(3)
    for _ in range(600):
        drift.update(rng.choices([f"tool-{k}" for k in range(12)], k=6), 6, 0.01, False)
    size = len(pickle.dumps(drift))
    fired = []
    for n in range(200):
        drift.update([f"new-{n}", "tool-0"], 6, 0.01, False)
        fired.append(drift.fires)

    assert any(fired)
    assert len(drift._tools) == TOOLS_MAX - 1
    assert len(pickle.dumps(drift)) <= size + 40


PLANTED = ["update", "read", "read", "find"]


def poisoned(day: int) -> int:
    """How many of a day's hundred runs go the planted way: one more every day."""
    return min(day, 60)


def days(rng: random.Random) -> list[list[list[str]]]:
    """Nine quiet days of a hundred runs, then sixty on which somebody teaches it, a run a day more."""

    def usual() -> list[str]:
        return ["find", *["read"] * rng.randrange(1, 4), "update"]

    made = [[usual() for _ in range(100)] for _ in range(9)]
    for day in range(60):
        taught = [usual()[::-1] for _ in range(poisoned(day))]
        made.append(rng.sample([*taught, *(usual() for _ in range(100 - len(taught)))], 100))
    return made


def test_who_teaches_slowly_is_found_by_the_frozen_reference_alone() -> None:
    """Without it: the adaptive model takes the planted order for usual. With it: found within two weeks."""
    rng = random.Random(4)
    adaptive, frozen = SequenceSurprise(), TaskDrift()
    found_on = None
    for day, runs in enumerate(days(rng), -9):
        for calls in runs:
            for call in [*calls, None]:
                adaptive.update(call)
            frozen.update(calls, len(calls), 0.01, False)
            if frozen.fires and found_on is None:
                found_on = day
    taught = adaptive.score_one(PLANTED)
    honest = SequenceSurprise()
    for runs in days(random.Random(4))[:9]:
        for calls in runs:
            honest.learn_one(calls)

    assert honest.score_one(PLANTED) >= honest.threshold
    assert taught < adaptive.threshold
    assert found_on is not None and 0 <= found_on <= 14
