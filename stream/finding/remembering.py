"""What an agent's runs wrote into memory out of foreign text, and which later call acts on it. Pure."""

from collections.abc import Iterator

from detectors import MemoryInfluence
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState, Planted
from stream.agent.finding import Finding

PLANTED_MAX = (
    48  # values of an agent, 75 bytes each; what was merely listed goes before what was ordered
)


def wrote(agent: AgentState, step: Step) -> None:
    """Remember what a run put into memory that nobody in charge named.

    The first run counts: one that reads a value and writes it back is not its source.
    """
    if step.action != "memory.write" or step.provenance is None:
        return
    for value in step.provenance.memory:
        known = agent.planted.get(value.hash)
        ordered = value.origin == "ordered"
        if known is None or (ordered and not known.ordered):
            agent.planted[value.hash] = Planted(step.trace_id, step.args_hash[:16], ordered)
    while len(agent.planted) > PLANTED_MAX:
        listed = (name for name, one in agent.planted.items() if not one.ordered)
        del agent.planted[next(listed, next(iter(agent.planted)))]


def influence(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Whether a call acts on what another run planted. A warning once a run."""
    if step.provenance is None or not step.provenance.memory or not agent.planted:
        return
    met = [
        (value, known)
        for value in step.provenance.memory
        if (known := agent.planted.get(value.hash)) and known.trace_id != step.trace_id
    ]
    memory = MemoryInfluence()
    memory.update(
        (("ordered" if known.ordered else "listed", value.klass) for value, known in met),
        reads=agent.file.access(step.tool) == "read",
    )
    warned = "memory_influence" in agent.run(step.trace_id).signals
    if not (memory.fires or (memory.warns and not warned)):
        return
    value, known = next(
        one for one in met
        if one[1].ordered == (memory.origin == "ordered") and one[0].klass == memory.klass
    )  # fmt: skip
    evidence = memory.evidence() | {
        "argument": value.path, "written_in": known.trace_id, "record": known.record,
        "suggests": "quarantine",
    }  # fmt: skip
    words = sentences.memory_influence(step.tool, evidence)
    yield Finding("memory_influence", words, evidence, warning=not memory.fires)
