"""What of an order a run's writes go together with, run after run. Pure.

join: values of the order, once a run ──► step.heard    values of it that the call acts on ──► step.used
detect: a write that always follows one certain value, which is none of its arguments, waits for a person
"""

from collections.abc import Iterator

from detectors.trigger_pair import FEATURES_MAX
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding

ACTIONS_MAX = 8  # kinds of writes of one run that count


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """The next call of a run; what it acts on explains it, and is no trigger."""
    run = agent.run(step.trace_id)
    if step.heard:
        run.heard = list(dict.fromkeys([*run.heard, *step.heard]))[:FEATURES_MAX]
    if not run.heard or step.again or agent.file.access(step.tool) == "read":
        return
    if step.used:
        run.heard = [one for one in run.heard if one not in step.used]
    if len(run.wrote) < ACTIONS_MAX and step.tool not in run.wrote:
        run.wrote.append(step.tool)
    triggers = agent.triggers
    score = triggers.score_one(run.heard, step.tool)
    if score < triggers.threshold or not triggers.heard:
        return
    evidence = triggers.evidence() | {"score": score}
    yield Finding("trigger_pair", sentences.trigger_pair(evidence), evidence)


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """Each run counts, also one that was refused: what it asked for is what it would have done."""
    if not fact.spooled and not run.gaps:
        agent.triggers.update(run.heard, run.wrote)
