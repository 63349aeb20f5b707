"""Calls held against the plan that their run has declared: a write that it does not name is found. Pure."""

from collections.abc import Iterator

from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """The next call of a run with a plan. One that waits may have to wait for a person."""
    told = step.planned
    if told is None or step.spooled:
        return
    writes = agent.file.access(step.tool) != "read"
    agent.planned.update(not told.named, writes)
    if not agent.planned.fires:
        return
    evidence = agent.planned.evidence() | {
        "tool": step.tool, "steps": told.steps, "calls": told.calls, "distance": told.distance,
    }  # fmt: skip
    words = sentences.unplanned_step(step.tool, evidence)
    yield Finding("unplanned_step", words, evidence, warning=step.held is None)
