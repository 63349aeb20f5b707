"""What sensitive data a call carries: what the SDK and join found, against the agent's file. Pure.

classes of a held call's arguments ─────► undeclared: waits for a person, or is marked
values out of confidential results ─────► of a tool that is not confidential: waits for a person
a honeytoken, whatever the call may do ─► the run is stopped
"""

from collections.abc import Iterator

from detectors import Leakage, SensitiveRate
from ingest.records import Kept, Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding
from tracefuse.events import HONEYTOKEN

NAME = "leakage"


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Said of each call that carries a secret, and of what is only marked once a run.

    Where the file declares classes, the call waits for a person; a rule of approval may ask for more. What a
    read carries is marked only: but for what it asks, it takes nothing out.
    """
    classes = step.held.data_classes if step.held is not None else ()
    kept = _confidential(agent, step)
    planted = HONEYTOKEN in step.carries
    if not classes and not kept and not planted:
        return
    leak = Leakage()
    leak.update(classes, agent.file.data_classes, [one.klass for one in kept], planted)
    fires = leak.fires and (planted or agent.file.access(step.tool) != "read")
    marked = (leak.fires or leak.warns) and NAME not in agent.run(step.trace_id).signals
    if not fires and not marked:
        return
    evidence = leak.evidence() | {"declared": list(agent.file.data_classes[:8])}
    if kept:
        evidence |= {"argument": kept[0].path, "class": kept[0].klass, "hash": kept[0].hash}
    words = sentences.leakage(step.tool, evidence)
    if planted:
        event = Tripped(auto_close=False)
        yield Finding(NAME, words, evidence, "run", event, weight="critical")
    else:
        yield Finding(NAME, words, evidence, warning=not fires)


def counted(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Whether a tool that writes is given sensitive data more often than it was."""
    if step.again or agent.file.access(step.tool) == "read":
        return
    tool = agent.tool(step.tool)
    calls = tool.carried = tool.carried or SensitiveRate()
    calls.update(step.carries)
    if calls.fires:
        evidence = calls.evidence()
        yield Finding("sensitive_rate", sentences.sensitive_rate(step.tool, evidence), evidence)


def _confidential(agent: AgentState, step: Step) -> list[Kept]:
    """What a call carries out of confidential results to where they are not at home.

    To read a record one names it: that takes nothing out.
    """
    declared = agent.file.tools.get(step.tool)
    if step.provenance is None or (declared is not None and declared.confidential):
        return []
    return [] if agent.file.access(step.tool) == "read" else step.provenance.confidential
