"""The made month of the detection benchmark: repeatable, and judged by its truth."""

from dataclasses import replace

import pytest

from tests.benchmarks.detection import month
from tests.benchmarks.detection.month_faults import Fault
from tests.benchmarks.detection.month_fleet import Fleet, Heard
from tests.benchmarks.detection.month_habits import DAY, fleet

AGENTS, DAYS = 3, 0.5


def played(*faults: Fault, seed: int = 1) -> Fleet:
    """Half a day of three agents with these faults only."""
    who = fleet(AGENTS, month.BEGINS, DAYS, seed)
    mine = {agent.name: [f for f in faults if f.agent == agent.name] for agent in who}
    world = Fleet(who, mine, month.BEGINS, DAYS, seed)
    world.play()
    return world


def test_the_same_seed_makes_the_same_month() -> None:
    """A figure can be measured again: two runs of one seed say the same, another seed something else."""
    one, two, other = played(), played(), played(seed=2)

    assert one.steps == two.steps > 300
    assert [h.signal for h in one.heard] == [h.signal for h in two.heard]
    assert one.steps != other.steps


@pytest.mark.parametrize(
    ("kind", "detector"), [("loop", "exact_loop"), ("dead_run", "silence"), ("flood", "call_rate")]
)
def test_a_fault_is_found_where_it_happens(kind: str, detector: str) -> None:
    """A fault of one run is heard of from that run, and its owner is told."""
    begins = month.BEGINS + DAY / 4
    writes = next(
        i
        for i, t in enumerate(fleet(AGENTS, month.BEGINS, DAYS, 1)[0].tools)
        if t.access == "write"
    )
    fault = Fault(kind, "agent-000", begins, writes, begins + DAY / 4, once=True)
    hits = month.found(fault, played(fault).heard)

    assert len(fault.traces) == 1
    assert any(hit.signal.detector == detector and hit.told for hit in hits)


def test_signals_outside_of_faults_are_false() -> None:
    """A signal counts for its fault alone: later, earlier or of another agent it is a false one."""
    begins = month.BEGINS + DAY / 4
    fault = Fault("loop", "agent-000", begins, 0, begins + DAY / 4, once=True)
    world = played(fault)
    mine = [h for h in world.heard if h.signal.agent_id == "agent-000" and h.told]

    assert mine
    assert all(month.about(one, [fault]) for one in mine)
    assert not month.about(mine[0], [replace(fault, begins=begins + DAY, ends=begins + 2 * DAY)])
    assert month.judged(world, [], AGENTS, DAYS)["false_pages_a_week"] > 0


def test_what_a_detector_says_anyway_finds_nothing() -> None:
    """A detector that speaks of every other run has not found the fault it happens to speak in."""
    world = played()
    fault = Fault("price", "agent-000", month.BEGINS, 0, month.BEGINS + DAY, traces={"a", "b", "c"})
    one = next(
        iter(played(Fault("loop", "agent-000", month.BEGINS, 0, month.BEGINS + DAY, True)).heard)
    )
    runs = world.runs
    often, never = [one] * (runs.total() // 2), list[Heard]()

    assert month.Usual(never, runs).beyond(fault, [one]) == {one.signal.detector}
    assert month.Usual(often, runs).beyond(fault, [one]) == set()
