"""A run that wants more than its budget has room for: what fits runs, and not one call more."""

from dataclasses import replace
from random import Random

from ingest.registry import Budgets
from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Move, Script

ALLOWED, WANTED = 5, 8
_CALL_USD = 0.01  # the most that one call may cost, and so what is set aside for each
# The model's part of a run fits into half a call.
_RUN_USD = _CALL_USD * (ALLOWED + 0.5)
_LATENCY_MS = 15.0
_EVERY = 3


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run of writes, of which the budget has room for the first five."""
    if moment.run % _EVERY:
        return None
    healthy = work.script(task, random)
    writes: list[Move] = [
        replace(
            work.act(task.writes[0], random),
            latency_ms=_LATENCY_MS,
            error="",
            forbidden=n >= ALLOWED,
        )
        for n in range(WANTED)
    ]
    return replace(healthy, moves=[*healthy.moves[:4], *writes], urgent=True)


SCENARIO = Scenario(
    "over_budget", expected="block-call", scope="", must_stop=True, detector="policy",
    gate="budgets", task="invoices", distort=distort, fault_at_s=3.5,
    budgets=Budgets(call_usd=_CALL_USD, run_usd=_RUN_USD, day_usd=5_000.0),
    # Eight writes in a row are odd by themselves; here the budget alone is to refuse.
    declares={"metrics_only": ("sequence_surprise",)},
)  # fmt: skip
