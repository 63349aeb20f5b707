"""What goes well in a run before a call: declared by the owner, or learnt from its finished runs. Pure.

a call goes well ──► the run remembers its tool
a request ─────────► what its tool requires and the run lacks ───► the gate `order` denies it, or it is told
          └────────► what nearly every run had done by then ─────► a write waits for a person, a read is noted
a run ends well ───► teaches what goes before what
"""

from collections.abc import Iterator

from detectors import SkippedStep
from detectors.skipped_habit import WELL_MAX
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding
from stream.finding.teaching import teaches

NAME = "skipped_step"
SKIPPED_MAX = 8  # calls of one run that are told of; what waits is denied however many there were


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A call begins. What is declared is told once a run and tool; the gate denies whenever it is asked."""
    run, declared = agent.run(step.trace_id), agent.file.tools.get(step.tool)
    if declared is not None and declared.requires:
        order = SkippedStep()
        order.update(declared.requires, run.deeds.well, held=step.held is not None)
        if order.score and step.tool not in run.skipped and len(run.skipped) < SKIPPED_MAX:
            run.skipped.append(step.tool)
            evidence = order.evidence()
            words = sentences.skipped_step(step.tool, evidence)
            yield Finding(NAME, words, evidence, warning=order.warns)
    if not run.gaps and not step.again:  # of what came late the order is not known
        yield from _habitual(agent, step, run)


def _habitual(agent: AgentState, step: Step, run: RunState) -> Iterator[Finding]:
    usual, reads = agent.preceding, agent.file.access(step.tool) == "read"
    usual.update(agent.sequences.spelt(step.tool), run.deeds, step.task_type)
    if usual.fires or (usual.odd and not reads):
        evidence = usual.evidence()
        words = sentences.skipped_habit(evidence)
        yield Finding("skipped_habit", words, evidence, warning=reads)


def lacking(agent: AgentState, step: Step) -> list[str]:
    """What the tool requires and the run has not done well; a run that is forgotten has done nothing."""
    declared, run = agent.file.tools.get(step.tool), agent.runs.get(step.trace_id)
    if declared is None or NAME in agent.file.metrics_only:
        return []
    return [name for name in declared.requires if run is None or name not in run.deeds.well]


def completed(agent: AgentState, step: Step) -> None:
    """A call has run: where it went well, what requires it may follow."""
    if step.action != "tool" or step.status == "error":
        return
    well = agent.run(step.trace_id).deeds.well
    # Beyond the limit only what some tool requires: that is never forgotten.
    if step.tool not in well and (len(well) < WELL_MAX or _required(agent, step.tool)):
        well.append(agent.sequences.spelt(step.tool))


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """A run has ended; it teaches unless something stopped or refused it, or parts of it are missing."""
    if not fact.spooled:
        agent.preceding.update(None, run.deeds, run.task, teaches(run, fact))


def _required(agent: AgentState, tool: str) -> bool:
    return any(tool in other.requires for other in agent.file.tools.values())
