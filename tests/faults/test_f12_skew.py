"""F12: claimed times are data. Windows, timers and deadlines follow the broker's clock alone."""

from typing import Any

import pytest

from stream.outputs import Output
from stream.partition import Partition
from tests.pipe import Pipe, Told, commands, registered, signals

HOUR, YEAR = 3600, 365 * 86_400
SKEWS = [-10 * YEAR, -HOUR, -1, 1, HOUR, 10 * YEAR]
FILE: dict[str, Any] = {
    "limits": {"write": {"per_minute": 12, "per_day": 40}}, "budgets": {"run_usd": 1.0},
    "tools": {"crm.find": {"latency_ms": 100}},
}  # fmt: skip


def lived(skew: int, drift: bool = False) -> Pipe:
    """An agent that works, fails, is stopped, comes back and falls silent, by a clock of its own."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered(**FILE))
    pipe.send(_off(told("run.start"), skew))
    for n in range(30):
        pipe.wait(1.0 if n % 10 else 12.0)
        # A clock that steps back and forth, if it drifts.
        by = skew * (-1) ** n if drift else skew
        more = {"status": "error"} if 5 <= n < 12 else {"cost_usd": 0.01}
        for event in told.call(n, **more):
            pipe.send(_off(event, by))
    pipe.wait(30.0)
    return pipe


def _off(event: Any, skew: int) -> Any:
    event.emitted_at += skew * 1_000_000
    return event


def decided(outputs: list[Output]) -> list[tuple[Any, ...]]:
    orders = [(c.scope, c.state, c.epoch, c.reason.text) for c in commands(outputs)]
    return [*orders, *((s.detector, s.sentence, s.at) for s in signals(outputs))]


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("drift", [False, True])
def test_a_skewed_agent_is_judged_like_any_other(skew: int, drift: bool) -> None:
    """An hour, ten years, back and forth: the same stops at the same record times."""
    honest, skewed = lived(0), lived(skew, drift)

    assert decided(skewed.out) == decided(honest.out)
    assert {c.state for c in commands(honest.out)} >= {"open", "half_open", "closed"}
    assert "silence" in [s.detector for s in signals(honest.out)]


def test_a_skewed_agent_changes_nothing_for_others() -> None:
    """Two agents share a partition and a trace; one of them believes it is another year."""
    told: dict[int, list[tuple[Any, ...]]] = {}
    for skew in (0, 10 * YEAR):
        pipe, calm, odd = Pipe(), Told(), Told("odd", boot_id="b2")
        pipe.tell(registered(), registered("odd"))
        pipe.send(calm("run.start"))
        for n in range(10):
            pipe.wait(1.0)
            pipe.send(*(_off(event, skew) for event in odd.call(n, status="error")))
            pipe.send(*calm.call(100 + n))
        told[skew] = decided(pipe.out)

    assert told[0] == told[10 * YEAR]


def test_the_claim_is_kept_as_data() -> None:
    """The step tells what the agent said, beside the time at which it was heard."""
    pipe, told = Pipe(), Told()
    request, result = (_off(event, -HOUR) for event in told.call(1))
    pipe.send(request, result)
    (step,) = pipe.steps().values()

    assert (step.requested_at, step.completed_at) == (request.emitted_at, result.emitted_at)
    assert step.at == pipe.now
    assert step.at - step.requested_at / 1e6 > HOUR - 60


@pytest.mark.parametrize("back", [0.001, 5.0, 3600.0])
def test_a_brokers_step_back_is_no_time_travel(back: float) -> None:
    """Record time never falls: nothing fires twice, nothing is undone, and time then goes on."""
    pipe, told = Pipe(), Told()
    pipe.tell(registered())
    pipe.send(told("run.start"))
    pipe.wait(4.0)
    silent = len(signals(pipe.out))
    pipe.now -= back
    pipe.tick()
    pipe.send(*told.call(1))
    core = next(iter(pipe.joins.values()))

    assert silent == 1
    assert core.partition.now == pytest.approx(pipe.now + back)
    assert len(signals(pipe.out)) == 1


def test_by_claimed_times_a_skewed_agent_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: were a record's time what its sender says, an hour ahead would silence everybody."""
    honest = Partition.begin
    hour_ahead = {3}

    def claimed(self: Partition[Any], offset: int, timestamp: float) -> None:
        honest(self, offset, timestamp + (HOUR if offset in hour_ahead else 0))

    straight = decided(lived(0).out)
    monkeypatch.setattr(Partition, "begin", claimed)

    assert decided(lived(0).out) != straight
