"""How much an agent does: each call counted for all of it, and for its access class. Pure.

a request ──► calls of a minute and of five, against the agent's past ──► a write waits, a read is annotated
"""

from collections.abc import Iterator

from detectors import Volume
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding

NAME = "volume"
ALL = ""  # calls of whatever kind, those of models as well


def asked(agent: AgentState, step: Step) -> Iterator[Finding]:
    """One more call of users' work. What waited on a disk came at another pace; asking again is no call."""
    if step.spooled or step.again or step.probe or step.action not in ("tool", "llm"):
        return
    total = _of(agent, ALL)
    total.update(agent.at)
    if step.action == "tool":
        access = agent.file.access(step.tool)
        kind = _of(agent, access)
        kind.update(agent.at)
        if kind.fires or (kind.odd and access != "read"):  # in a flood each write waits
            yield _finding(access, kind, access == "read")
        if kind.odd:
            return  # the same calls are among all, too
    if total.fires:
        yield _finding(ALL, total, True)


def _finding(access: str, volume: Volume, warning: bool) -> Finding:
    evidence = volume.evidence() | {"access": access}
    words = sentences.volume(evidence)
    return Finding(NAME, words, evidence, warning=warning, pattern=access or "all")


def _of(agent: AgentState, access: str) -> Volume:
    known = agent.volumes.get(access)
    if known is None:
        known = agent.volumes[access] = Volume()
    return known
