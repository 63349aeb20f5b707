"""What sensitive data a held call carries: the classes that the SDK found, against the agent's file. Pure."""

from collections.abc import Iterator

from detectors import Leakage
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding

NAME = "leakage"


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Said of each call that carries a secret, and of what is only marked once a run.

    Where the file declares classes, the call waits for a person; a rule of approval may ask for more. What a
    read carries is marked only: but for what it asks, it takes nothing out.
    """
    if step.held is None or not step.held.data_classes:
        return
    leak = Leakage()
    leak.update(step.held.data_classes, agent.file.data_classes)
    fires = leak.fires and agent.file.access(step.tool) != "read"
    marked = (leak.fires or leak.warns) and NAME not in agent.run(step.trace_id).signals
    if not fires and not marked:
        return
    evidence = leak.evidence() | {"declared": list(agent.file.data_classes[:8])}
    words = sentences.leakage(step.tool, evidence)
    yield Finding(NAME, words, evidence, warning=not fires)
