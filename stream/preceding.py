"""What must go well in a run before a call: declared steps that were skipped. Pure.

a call goes well ──► the run remembers its tool
a request ─────────► what its tool requires and the run lacks ──► the gate `order` denies it, or it is told
"""

from collections.abc import Iterator

from detectors import SkippedStep
from ingest.records import Step
from stream import sentences
from stream.agent_state import AgentState
from stream.finding import Finding

NAME = "skipped_step"
WELL_MAX = 24  # tools of a run that went well; beyond it only those that another tool requires
SKIPPED_MAX = 8  # calls of one run that are told of; what waits is denied however many there were


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A call begins. Each tool is told once a run; the gate says no as often as it is asked."""
    declared = agent.file.tools.get(step.tool)
    if declared is None or not declared.requires:
        return
    run, order = agent.run(step.trace_id), SkippedStep()
    order.update(declared.requires, run.well, held=step.held is not None)
    if not order.score or step.tool in run.skipped or len(run.skipped) >= SKIPPED_MAX:
        return
    run.skipped.append(step.tool)
    evidence = order.evidence()
    words = sentences.skipped_step(step.tool, evidence)
    yield Finding(NAME, words, evidence, warning=order.warns)


def lacking(agent: AgentState, step: Step) -> list[str]:
    """What the tool requires and the run has not done well; a run that is forgotten has done nothing."""
    declared, run = agent.file.tools.get(step.tool), agent.runs.get(step.trace_id)
    if declared is None or NAME in agent.file.metrics_only:
        return []
    return [name for name in declared.requires if run is None or name not in run.well]


def completed(agent: AgentState, step: Step) -> None:
    """A call has ended: where it went well, what requires it may follow."""
    if step.action != "tool" or step.status in ("error", "not_run"):
        return
    run = agent.run(step.trace_id)
    if step.tool in run.well or (len(run.well) >= WELL_MAX and not _required(agent, step.tool)):
        return
    run.well.append(agent.sequences.spelt(step.tool))


def _required(agent: AgentState, tool: str) -> bool:
    return any(tool in other.requires for other in agent.file.tools.values())
