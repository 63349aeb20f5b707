"""A run of a version that nobody released: an old image that somebody started again."""

from dataclasses import replace
from random import Random

from ingest.agent_file import Bundle
from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Script, forbidden

STABLE, OLD = "b1", "b0"
_EVERY = 3


def distort(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A whole run of the old version; none of its calls may run."""
    if moment.run % _EVERY:
        return None
    return replace(forbidden(work.script(task, random)), bundle=OLD)


SCENARIO = Scenario(
    "wrong_version", expected="block-call", scope="", must_stop=True, detector="policy",
    gate="version", task="coding", distort=distort, fault_at_s=4.0, twin=False,
    declares={"bundles": {"stable": Bundle(STABLE)}},
)  # fmt: skip
