"""Learnt order: how often a step must have gone before, what teaches, what is forgotten, what it costs."""

import pickle
from collections.abc import Iterable

import pytest

from detectors.skipped_habit import ASKED_MAX, WELL_MAX, Deeds, SkippedHabit

USUAL = ("find", "verify", "pay")
RASH = ("find", "pay")


def learn(order: SkippedHabit, runs: int, calls: Iterable[str] = USUAL, task: str = "") -> None:
    for _ in range(runs):
        judge(order, calls, task)
        order.update(None, task=task)


def judge(order: SkippedHabit, calls: Iterable[str], task: str = "") -> float:
    """Score of the last call of a run that goes on."""
    return [order.update(call, task=task) for call in calls][-1]


def left(order: SkippedHabit) -> None:
    """The open run is given up and teaches nothing."""
    order.update(None, learn=False)


@pytest.mark.parametrize(("runs", "fires"), [(199, False), (200, True)])
def test_it_needs_two_hundred_runs(runs: int, fires: bool) -> None:
    """Fewer say too little of what one in two hundred does."""
    order = SkippedHabit()
    learn(order, runs)
    judge(order, RASH)

    assert order.fires == fires


@pytest.mark.parametrize(("without", "fires"), [(1, True), (2, False), (30, False)])
def test_one_run_in_two_hundred_may_go_without(without: int, fires: bool) -> None:
    """Among 300 runs one without the step leaves it a habit, two do not, and ten per cent never were one."""
    order = SkippedHabit()
    learn(order, 100)
    learn(order, without, RASH)
    learn(order, 200)
    judge(order, RASH)

    assert order.fires == fires


def test_it_names_the_nearest_of_the_most_usual_steps() -> None:
    """And how many runs had done it by then."""
    order = SkippedHabit()
    learn(order, 412)
    judge(order, ["pay"])
    said = order.evidence()

    assert (said["observed"], said["call"], said["first"], said["of"]) == (
        "verify",
        "pay",
        412,
        412,
    )


def test_what_only_follows_is_no_step_before() -> None:
    """A call that every run makes after the payment is missing from none."""
    order = SkippedHabit()
    learn(order, 300, ("find", "pay", "mail"))

    assert judge(order, ("find", "pay")) == 0.0


def test_a_step_that_has_not_gone_well_is_no_step() -> None:
    """Asked for is not done: the request alone excuses nothing."""
    order, run = SkippedHabit(), Deeds(well=["find"])
    learn(order, 300)
    order.update("verify", run)
    order.update("pay", run)

    assert order.fires


def test_a_run_alarms_once_and_stays_odd() -> None:
    """A second payment without the step still waits."""
    order = SkippedHabit()
    learn(order, 300)
    said = []
    for call in ("find", "pay", "pay"):
        order.update(call)
        said.append((order.fires, order.odd))

    assert said == [(False, False), (True, True), (False, True)]


def test_a_task_has_its_own_order_and_a_new_one_the_agents() -> None:
    """What one task never does is no habit of another; who calls a task otherwise escapes nothing."""
    order = SkippedHabit()
    learn(order, 300, USUAL, "refund")
    learn(order, 300, ("mail", "list"), "news")

    assert judge(order, ("list",), "news") > order.threshold
    left(order)
    assert judge(order, RASH, "refund") > order.threshold
    left(order)
    assert judge(order, RASH, "never seen") > order.threshold
    left(order)
    assert judge(order, ("mail", "list"), "news") == 0.0


def test_what_nobody_teaches_is_not_learnt() -> None:
    """Runs that were refused or stopped leave the habit as it is."""
    order = SkippedHabit()
    learn(order, 300)
    for _ in range(100):
        judge(order, RASH)
        left(order)
    judge(order, RASH)

    assert order.fires
    assert order.evidence()["of"] == 300


def test_a_new_habit_is_learnt_and_an_old_one_forgotten() -> None:
    """A version that checks before it pays is known a thousand runs later; so is one that no longer does."""
    order = SkippedHabit()
    learn(order, 600, RASH)
    learn(order, 1000)
    newly = judge(order, RASH)
    left(order)
    learn(order, 6, RASH)

    assert newly > order.threshold
    assert (
        judge(order, RASH) < order.threshold
    )  # six runs that people let pass say that it was given up


def test_names_of_any_length_are_told_apart() -> None:
    """Names that differ at their end alone are not one tool."""
    order, long = SkippedHabit(), "x" * 60
    learn(order, 300, (f"{long}1", f"{long}2"))

    assert judge(order, (f"{long}1", f"{long}2")) == 0.0
    left(order)
    assert judge(order, (f"{long}3", f"{long}2")) > order.threshold


def test_a_run_too_long_to_be_remembered_teaches_nothing() -> None:
    """What had gone well before its calls is not known."""
    order, run = SkippedHabit(), Deeds()
    learn(order, 300)
    run.well += [f"t{n}" for n in range(WELL_MAX)]
    order.update("pay", run)
    order.update(None, run)
    judge(order, RASH)

    assert order.evidence()["of"] == 300


def test_the_most_hostile_names_cost_four_kilobytes() -> None:
    """Ever new tools and tasks with the longest names, in the longest runs."""
    order = SkippedHabit()
    for n in range(1500):
        run = Deeds(well=[f"{n % 97}-{k}-{'x' * 40}" for k in range(20)])
        for k in range(2 * ASKED_MAX):
            order.update(f"{n % 89}+{k}+{'x' * 40}", run, f"{n % 7}{'y' * 60}")
        order.update(None, run, f"{n % 7}{'y' * 60}")
        assert len(run.asked) <= ASKED_MAX

    assert len(pickle.dumps(order)) <= 4096


def test_a_run_costs_little_state() -> None:
    """Ten known tools, each of which went well."""
    names = [f"tool-{n}" for n in range(10)]
    run = Deeds(well=names[:], asked={name: n for n, name in enumerate(names)})
    both = len(pickle.dumps((names, run))) - len(pickle.dumps((names, Deeds())))

    assert both <= 128
