"""An agent that no rule finds fault with, and that a person stops all the same."""

from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Script


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """Its work stays as it was: what is wrong with it only people know."""
    return None


SCENARIO = Scenario(
    "killed", expected="open", scope="agent", must_stop=True, detector="human",
    task="operations", distort=distort, fault_at_s=7.5, twin=False, person="kills",
)  # fmt: skip
