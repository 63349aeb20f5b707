"""How many calls an agent makes each minute, held against its own past. Pure.

A minute is judged when the next call comes after it; that an agent says nothing at all is silence, and
told by the detector of that name.
"""

from collections.abc import Iterator

from stream import sentences
from stream.agent_state import AgentState
from stream.finding import Finding

_MINUTE = 60
_IDLE_MAX = (
    15  # minutes without a call that are learnt as such, so that a pause costs 1.5 ms at most
)


def counted(agent: AgentState) -> Iterator[Finding]:
    """Count a call at the agent's time; what is odd about the minutes that ended before it."""
    volume, minute = agent.volume, int(agent.at // _MINUTE)
    ended = minute - volume.minute if volume.minute else 0
    if ended:
        for calls in (volume.calls, *(0 for _ in range(min(ended - 1, _IDLE_MAX)))):
            volume.usual.update(calls)
            if volume.usual.fires:
                evidence = volume.usual.evidence()
                words = sentences.annotation("series_novelty", "calls a minute", evidence)
                yield Finding("series_novelty", words, evidence)
        volume.calls = 0
    volume.minute = minute
    volume.calls += 1
