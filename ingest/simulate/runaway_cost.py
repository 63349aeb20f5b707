"""Costs that run away: within one run, or over a day of runs that each look affordable."""

from dataclasses import replace
from random import Random

from ingest.registry import Budgets
from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Ask, Move, Script

_RUN_USD = 2.0
_DAY_USD = 40.0
_DEAR_RUN_USD = 30.0  # far above what one run is to cost; the day is to be reached first
_CALLS = 12
_PAUSE_MS = 100.0
_EVERY = 3


def _spend(task: work.Task, random: Random, cost_usd: float, latency_ms: float) -> Script:
    """A run that asks a model with an ever longer context."""
    healthy = work.script(task, random)
    moves: list[Move] = list(healthy.moves[:2])
    for n in range(_CALLS):
        tokens = 20_000 * (n + 1)
        moves.append(Ask(work.LARGE.name, tokens, 2_000, cost_usd, latency_ms))
        moves.append(replace(work.act(task.reads[0], random), pause_ms=_PAUSE_MS))
    return replace(healthy, moves=moves, urgent=True)


def within_run(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """Each third run would cost three times the cap of a run."""
    return None if moment.run % _EVERY else _spend(task, random, 0.5, 100.0)


def within_day(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """No run costs much by its own cap; together they pass the day's."""
    return _spend(task, random, 1.0, 60.0)


RUN = Scenario(
    "runaway_cost_run", expected="stop-run", scope="run", must_stop=True, detector="cost_cap",
    task="coding", distort=within_run, fault_at_s=2.0,
    budgets=Budgets(run_usd=_RUN_USD, day_usd=5_000.0),
)  # fmt: skip
DAY = Scenario(
    "runaway_cost_day", expected="open", scope="agent", must_stop=True, detector="cost_cap",
    task="coding", distort=within_day, fault_at_s=3.0,
    budgets=Budgets(run_usd=_DEAR_RUN_USD, day_usd=_DAY_USD),
)  # fmt: skip
