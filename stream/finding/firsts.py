"""What an agent does for the first time: told when it is asked for, learnt when it has run. Pure."""

from collections.abc import Iterator

from detectors.base import DAY_SECONDS
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A call begins. A read that is new is noted once, a write waits until one like it has run."""
    if step.again:
        return  # the same call again
    firsts, manner = agent.firsts, step.manner
    form, places = (manner.form, manner.places) if manner is not None else (0, [])
    firsts.update(step.tool, form, places, agent.at, "asked")
    reads = agent.file.access(step.tool) == "read"
    if firsts.fires or (firsts.odd and not reads):
        days = max(agent.at - agent.alarms.since, 0.0) / DAY_SECONDS
        evidence = firsts.evidence() | {"days": round(days, 1)}
        words = sentences.first_time(step.tool, evidence)
        yield Finding("first_time", words, evidence, warning=reads)


def completed(agent: AgentState, step: Step) -> None:
    """A call has run, well or not: its ways are known from now on."""
    if step.action != "tool":
        return
    manner = step.manner
    form, places = (manner.form, manner.places) if manner is not None else (0, [])
    agent.firsts.update(step.tool, form, places, phase="done")
