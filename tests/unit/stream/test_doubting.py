"""A statistical finding lets one call wait, not what else its run does."""

from ingest.records import Step
from stream.agent.agent_state import DOUBTS_MAX, RunState
from stream.agent.breaker import Breaker
from stream.finding import doubting

NAME = "no_progress"


def run() -> RunState:
    return RunState(Breaker("run:acme/refunds/t"))


def step(number: int) -> Step:
    return Step(
        src=("t", 0, 0, 0, 0), step_id=f"c{number}", tenant="acme", agent_id="refunds",
        trace_id="t", span_id="s", phase="request", action="tool", tool="crm.pay", args_hash=f"h{number}",
    )  # fmt: skip


def test_the_next_call_waits_and_its_fellows_do_not() -> None:
    """Whichever asks first is held; the same call asked again is held again, another one is not."""
    one = run()
    doubting.raised(one, NAME)

    assert [doubting.holds(one, NAME, step(n)) for n in (1, 2, 1, 3)] == [True, False, True, False]


def test_what_was_never_raised_holds_nothing() -> None:
    """A detector without a step-up in this run lets every call go on."""
    assert not doubting.holds(run(), NAME, step(1))


def test_a_second_doubt_keeps_the_first() -> None:
    """Who makes another odd call in between is not let through with the first one."""
    one = run()
    doubting.raised(one, NAME)
    held = [doubting.holds(one, NAME, step(1))]
    doubting.raised(one, NAME)
    held += [doubting.holds(one, NAME, step(2)), doubting.holds(one, NAME, step(1))]

    assert held == [True] * 3
    assert not doubting.holds(one, NAME, step(3))


def test_a_run_that_goes_on_being_odd_waits_as_a_whole() -> None:
    """Beyond the bound nothing is forgotten: then every call of the run waits."""
    one = run()
    for number in range(2 * DOUBTS_MAX):
        doubting.raised(one, NAME)
        assert doubting.holds(one, NAME, step(number))

    assert len(one.doubts[NAME]) == DOUBTS_MAX + 1
    assert doubting.holds(one, NAME, step(99))
