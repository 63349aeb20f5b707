"""Calls held against the plan that their run has declared: a write that it does not name is found. Pure.

a request under a plan ──► a write that the plan leaves out ──► waits for a person, or is noted
a run ends ──────────────► teaches how often the agent's writes are planned, if nothing was refused or stopped
"""

from collections.abc import Iterator

from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding
from stream.finding.teaching import teaches


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """The next call of a run with a plan. One that waits may have to wait for a person."""
    told = step.planned
    if told is None or step.spooled:
        return
    writes = agent.file.access(step.tool) != "read"
    agent.planned.update(not told.named, writes, learn=False)
    if writes:
        run = agent.run(step.trace_id)
        run.planned += told.named
        run.unplanned += not told.named
    if not agent.planned.fires:
        return
    evidence = agent.planned.evidence() | {
        "tool": step.tool, "steps": told.steps, "calls": told.calls, "distance": told.distance,
    }  # fmt: skip
    words = sentences.unplanned_step(step.tool, evidence)
    yield Finding("unplanned_step", words, evidence, warning=step.held is None)


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """A run has ended; it teaches unless something stopped or refused it, or parts of it are missing."""
    if (run.planned or run.unplanned) and teaches(run, fact):
        agent.planned.learn(run.planned + run.unplanned, run.unplanned)
