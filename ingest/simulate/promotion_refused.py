"""An agent that was started in production before it has shown enough in staging, and asked for the grant."""

from dataclasses import replace
from random import Random

from ingest.agent_file import Environment, Gate
from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Script, forbidden

HERE: Environment = "staging"
THERE: Environment = "prod"
_EVERY = 3


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A whole run in production; none of its calls may run."""
    if moment.run % _EVERY:
        return None
    return replace(forbidden(work.script(task, random)), environment=THERE)


SCENARIO = Scenario(
    "promotion_refused", expected="block-call", scope="", must_stop=True, detector="policy",
    gate="environment", task="support", distort=distort, fault_at_s=9.0, twin=False,
    person="promotes", environment=HERE, elsewhere=THERE,
    # Two weeks of work: no demo can show that.
    declares={"gates": {THERE: Gate(runs=1000, success=0.99, days=14)}},
)  # fmt: skip
