"""Transfers that wait for a person who answers: after a yes the call runs, once; after a no it never does."""

from random import Random

from ingest.simulate import work
from ingest.simulate.scenario import Moment, Scenario
from ingest.simulate.script import Script
from ingest.simulate.unapproved import RULE, large

# A person of the demo looks every second; on a busy machine the answer takes some more.
PATIENCE_S = 15.0
_EVERY = 6  # people do not answer more often than that


def given(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """A run that ends in a large transfer, and waits for somebody to agree."""
    return None if moment.run % _EVERY else large(task, random, patience_s=PATIENCE_S)


def refused(task: work.Task, moment: Moment, random: Random) -> Script | None:
    """The same, but nobody will agree."""
    if moment.run % _EVERY:
        return None
    return large(task, random, patience_s=PATIENCE_S, forbidden=True)


GIVEN = Scenario(
    "approval_given", expected="step-up", scope="", must_stop=True, detector="policy",
    gate="approvals", task="payouts", distort=given, fault_at_s=5.5, twin=False, person="approves",
    approvals=(RULE,),
)  # fmt: skip
REFUSED = Scenario(
    "approval_refused", expected="step-up", scope="", must_stop=True, detector="policy",
    gate="approvals", task="payouts", distort=refused, fault_at_s=6.5, twin=False, person="refuses",
    approvals=(RULE,),
)  # fmt: skip
