"""F06: order changes neither final steps nor what was decided; late is told, marked, and decides nothing."""

import random

import pytest

from ingest.records import Fact, Step
from ingest.topics import INBOX
from stream.join.join import LINGER_SECONDS
from tests.pipe import Pipe, Told, commands, found, registered, signals
from tracefuse.events import Event


def run(told: Told) -> list[Event]:
    """A run of six calls with reasoning and context, one of them refused."""
    lines: list[Event] = []
    for n in range(6):
        lines += [told("thought"), told("retrieval"), told("state.before")]
        lines += told.call(n, cost_usd=0.1, status=("ok", "error", "not_run")[n % 3])
        lines.append(told("state.after"))
    return lines


def final(pipe: Pipe) -> dict[str, tuple[object, ...]]:
    """What the views show of each step."""
    return {
        key: (s.phase, s.status, s.request_id, s.result_id, s.args_hash, s.cost_usd, s.state_before,
              s.state_after, *(ref.event_id for ref in [*s.reasoning, *s.context]))
        for key, s in pipe.steps().items()
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_any_order_has_the_same_end(seed: int) -> None:
    """Every event in a record of its own, in any order: the same steps, each with what is its own."""
    lines = run(Told())
    straight, shuffled = Pipe(), Pipe()
    for event in lines:
        straight.send(event)
    for event in random.Random(seed).sample(lines, len(lines)):
        shuffled.send(event)

    assert final(shuffled) == final(straight)
    assert len(final(straight)) == 6


def test_ten_minutes_late_is_a_revision() -> None:
    """The step is told again, higher and as an echo; nothing is decided from it again."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered())
    thought, (request, result) = told("thought"), told.call(1, status="error")
    pipe.send(told("run.start"), request, result)
    pipe.now += 600.0
    before = len(pipe.out)
    pipe.send(thought)
    (step,) = pipe.steps().values()

    assert [ref.event_id for ref in step.reasoning] == [thought.event_id]
    assert (step.revision, step.echo, step.late) == (2, True, False)
    assert len(pipe.out) == before


def test_after_the_end_of_its_trace_it_is_late() -> None:
    """It reaches the record, marked and counted, and no decision, however bad it is."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(budgets={"run_usd": 0.01}))
    pipe.send(told("run.start"), told("run.end"))
    pipe.wait(LINGER_SECONDS + 0.5)
    for n in range(6):
        pipe.send(*told.call(n, status="error", args_hash="a", result_hash="r", cost_usd=1.0))
    facts: list[Fact] = found(pipe.facts, INBOX, Fact)
    steps = [fact for fact in facts if isinstance(fact, Step)]

    assert [step.late for step in steps] == [True] * 12
    assert sum(join.late for join in pipe.joins.values()) == 12
    assert (commands(pipe.out), signals(pipe.out)) == ([], [])


def test_within_the_minute_after_its_run_it_counts() -> None:
    """Control: the same calls a little earlier."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(budgets={"run_usd": 0.01}))
    pipe.send(told("run.start"), told("run.end"))
    pipe.wait(LINGER_SECONDS - 1.0)
    for n in range(6):
        pipe.send(*told.call(n, status="error", args_hash="a", result_hash="r", cost_usd=1.0))

    assert {c.reason.rule for c in commands(pipe.out)} >= {"cost_cap", "error_rate"}


def test_decisions_are_never_taken_back() -> None:
    """A request that comes after its result, a better word that comes later: what stands stands."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered())
    pairs = [told.call(n, status="error") for n in range(5)]
    for _, result in pairs:
        pipe.send(result)
    opened = commands(pipe.out)
    for request, _ in pairs:
        pipe.send(request)

    assert [(c.scope, c.state) for c in opened] == [("tool:acme/refunds/crm.find", "open")]
    assert commands(pipe.out) == opened
