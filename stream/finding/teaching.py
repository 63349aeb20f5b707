"""Which ended runs are examples of what is normal. Pure.

Asked for what runs do, in which order, how they keep to plans, get on and what they cost. `unsure` needs runs
that ended badly, too, and `triggering` what was asked for, whatever became of it: both judge by themselves.

What made a call wait, and was refused for it, must not become usual by having been asked for: whoever tries
often enough would be let through. What a person approved has run, so it teaches.
"""

from ingest.records import Run
from stream.agent.agent_state import RunState


def teaches(run: RunState, fact: Run) -> bool:
    """Whether a run that has ended went well, was neither stopped nor refused, and is known as a whole."""
    well = fact.status in ("", "ok") and not run.breaker.epoch
    return well and not run.refused and not run.gaps
