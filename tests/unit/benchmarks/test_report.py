"""What the reports promise: a promise beside each figure, a reason where a run does not count."""

import pytest

from tests.benchmarks import pipeline_report, promises, stop
from tests.benchmarks.cpu import Machine, shares

EVENTS = {"lost": 0, "duplicates": 0, "dead_lettered": 0}
STOPS = {"events": EVENTS, "background_refused": 0}


def test_nothing_of_the_cpu_is_left_out() -> None:
    """The total is all there is but the making of events, which is told beside it."""
    found = pipeline_report.per_event({"broker": 30.0, "agents": 60.0}, events=1, loop_us=20.0)

    assert found["total"] + found["event_making"] == 90.0


def test_shares_are_of_the_whole_machine() -> None:
    """What we did not use of the busy time others did: together with idle and stolen time it is all."""
    found = shares(Machine(1.0, 1.0, 0.0), Machine(8.0, 3.0, 1.0), ours_s=4.0)

    assert sum(found.values()) == pytest.approx(1.0)
    assert found["others"] == 0.3


@pytest.mark.parametrize("what", ["lost", "duplicates", "dead_lettered"])
def test_a_lossy_run_is_no_measurement(what: str) -> None:
    """One lost, doubled or unreadable event and the run does not count; none and it does."""
    bad = {"events": {**EVENTS, what: 1}, "refused": 0}

    assert list(pipeline_report.problems({"events": EVENTS, "refused": 0}, settled=True)) == []
    assert len(list(pipeline_report.problems(bad, settled=True))) == 1


def test_rows_that_never_came_are_a_problem() -> None:
    """A run that did not settle is none, even where nothing is known to be lost."""
    found = {"events": EVENTS, "refused": 0}

    assert len(list(pipeline_report.problems(found, settled=False))) == 1


def test_a_looping_run_that_was_not_stopped_is_a_problem() -> None:
    """Percentiles of the stopped runs alone would hide those that were never stopped."""
    assert list(stop._problems(STOPS, [], wanted=0)) == []
    assert list(stop._problems(STOPS, [], wanted=2)) == ["2 of 2 looping runs were not stopped"]


def test_a_promise_is_judged_on_its_own_side() -> None:
    """At least and at most are not confused, and the bound itself is kept."""
    least, most = {"promised_min": 5, "measured": 4}, {"promised_max": 5, "measured": 6}

    assert not promises.kept(least)
    assert not promises.kept(most)
    assert promises.kept({"promised_max": 5, "measured": 5})
