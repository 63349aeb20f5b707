"""How sure an agent is of its calls, held against how its runs have ended. Pure.

a thought, a decision ──► the last word before a call ──► odd: a write waits for a person, a read is noted
a run ends ─────────────► teaches how unsure good runs are, and whether doubts mean anything
"""

from collections.abc import Iterator

from detectors import Course
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding

NAME = "low_confidence"


def told(step: Step) -> float | None:
    """How sure the agent is of a call: what it says with it, else the last word of its reasoning before it.

    None where it says nothing, or no number from 0 to 1.
    """
    words = (ref.confidence for ref in reversed(step.reasoning) if ref.confidence is not None)
    said = step.confidence if step.confidence is not None else next(words, None)
    return said if said is not None and 0.0 <= said <= 1.0 else None


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """The next call of a run of which the agent tells how sure it is."""
    said = told(step)
    if said is None or step.again:
        return
    run = agent.run(step.trace_id)
    run.course = run.course or Course()
    usual, reads = agent.sure(run.bundle), agent.file.access(step.tool) == "read"
    usual.update(said, run.course)
    if usual.fires or (usual.odd and not reads):
        likely = agent.sequences.evidence()["usual"]  # it has just looked at this call
        evidence = usual.evidence() | {"call": step.tool, "usual": likely}
        yield Finding(NAME, sentences.low_confidence(evidence), evidence, warning=reads)


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """A run has ended. What was stopped or refused teaches nothing: it may be for its doubts that it was."""
    if run.course is None:
        return
    whole = not (fact.spooled or run.gaps or run.refused or run.breaker.epoch)
    bad = run.failed_once or fact.status not in ("", "ok")
    agent.sure(run.bundle).update(None, run.course, bad, learn=whole)
