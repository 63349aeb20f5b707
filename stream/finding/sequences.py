"""The order of an agent's calls: each request held against what its finished runs did. Pure.

a request ──► surprise of the run so far ──► a write waits for a person, a read is annotated
a run's end ──► surprise of the whole ─────► annotated; then learnt, if nothing was refused or stopped
"""

from collections.abc import Iterator

from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding
from stream.finding.teaching import teaches


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """The next call of a run."""
    run = agent.run(step.trace_id)
    if step.spooled:
        run.gaps = True
        return
    if step.again:
        run.refused -= run.refused > 0  # the same call again; what became of it will be told again
        return
    agent.sequences.update(step.tool, run.walk, step.task_type)
    run.task = step.task_type or run.task
    reads = agent.file.access(step.tool) == "read"
    if agent.sequences.fires or (agent.sequences.odd and not reads):
        evidence = agent.sequences.evidence()
        words = sentences.sequence_surprise(evidence)
        yield Finding("sequence_surprise", words, evidence, warning=reads)


def refused(agent: AgentState, step: Step) -> None:
    """A call did not run, so the run is no example of what is normal."""
    run = agent.runs.get(step.trace_id)
    if step.action == "tool" and run is not None:
        run.refused += 1


def run_ended(agent: AgentState, run: RunState, fact: Run) -> Iterator[Finding]:
    """A run has ended. It teaches, unless something stopped or refused it, or parts of it are missing."""
    agent.sequences.update(None, run.walk, run.task, teaches(run, fact))
    agent.scored("sequence_surprise", agent.sequences.chance)
    if agent.sequences.fires:
        evidence = agent.sequences.evidence()
        words = sentences.sequence_surprise(evidence)
        yield Finding("sequence_surprise", words, evidence, warning=True)
