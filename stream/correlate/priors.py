"""Correlate's hand on cold starts: what agents have learned of a tool, and what newcomers inherit. Pure.

what each agent tells ──► by tenant and tool: the newest of each ──► prior of whoever asks, without itself
                                                                 └──► agent.baselines.v1, for people

The narrowest group with three siblings answers: the agents of the same owner, else all of the tenant.
"""

from math import inf
from typing import Any

import msgspec

from detectors import shrinkage
from detectors.shrinkage import SIBLINGS_MIN
from ingest import codec
from ingest.records import Baseline, Belief, Learned, Moments, Prior, Src
from ingest.topics import BASELINES, INBOX
from stream.correlate.rooms import Room
from stream.outputs import Latest, Line, Output
from stream.partition import Partition
from tracefuse import wire

PREFIX = "prior:"
# An agent counts from so many calls on, and as so many at most: who calls most must not speak for all.
CALLS_MIN, CALLS_MAX = 30.0, 200.0
AGENTS_MAX = 64  # that a tool remembers; beyond it the one that told longest ago goes
TOOLS_MAX = 2000  # tools of all tenants; a new one beyond it has no priors
# Nobody tells of it any more: as long as its inbox lasts.
FORGET_SECONDS = 7 * 86_400.0


class Own(msgspec.Struct, array_like=True):
    """What one agent has learned of one tool."""

    peers: str
    calls: float
    failures: float
    seconds: Moments | None = None


class PriorState(msgspec.Struct, array_like=True, tag="prior"):
    """One tool of a tenant in the hands of its agents, the one that told longest ago first. At most 8 kB."""

    agents: dict[str, Own] = {}
    last: int = 0
    deadline: float = inf

    def take(self, fact: Learned) -> None:
        """An agent tells what it has learned; its latest word counts."""
        self.agents.pop(fact.agent_id, None)
        heavy = max(fact.calls / CALLS_MAX, 1.0)
        self.agents[fact.agent_id] = Own(
            fact.peers, fact.calls / heavy, min(fact.failures, fact.calls) / heavy, fact.seconds
        )
        if len(self.agents) > AGENTS_MAX:
            del self.agents[next(iter(self.agents))]

    def siblings(self, asking: str, peers: str) -> tuple[str, list[Own]]:
        """Who speaks for an agent: never itself."""
        others = [own for agent_id, own in self.agents.items() if agent_id != asking]
        near = [own for own in others if own.peers == peers] if peers else []
        return (peers, near) if len(near) >= SIBLINGS_MIN else ("", others)


def failed(siblings: list[Own]) -> Belief | None:
    """What they let expect of a newcomer's share of failures."""
    if len(siblings) < SIBLINGS_MIN:
        return None
    found = shrinkage.share([own.calls for own in siblings], [own.failures for own in siblings])
    return Belief(found.mean, found.worth, siblings=len(siblings))


def seconds(siblings: list[Own]) -> Belief | None:
    """What they let expect of a newcomer's durations."""
    known = [own.seconds for own in siblings if own.seconds is not None]
    if len(known) < SIBLINGS_MIN:
        return None
    found = shrinkage.normal(
        [one.mean for one in known], [one.variance for one in known],
        [min(one.n, int(CALLS_MAX)) for one in known],
    )  # fmt: skip
    return Belief(found.mean, found.worth, found.variance, len(known))


class Priors:
    """Priors of all tenants.

    Parameters
    ----------
    partition
        Holds their states, beside others.
    """

    def __init__(self, partition: Partition[Any]):
        self._partition = partition
        self.room = Room(partition, PREFIX, PriorState, TOOLS_MAX)

    def learned(self, src: Src, fact: Learned) -> list[Output]:
        """An agent tells what it has learned; whoever asks is answered in its own inbox."""
        key = f"{PREFIX}{fact.tenant}/{fact.tool}"
        out = self._counted(key, src, fact) if fact.calls >= CALLS_MIN else []
        state: PriorState | None = self._partition.get(key)
        if state is None or not fact.asks:
            return out
        peers, siblings = state.siblings(fact.agent_id, fact.peers)
        prior = Prior(
            src=(*src[:4], 1), tenant=fact.tenant, agent_id=fact.agent_id, tool=fact.tool,
            peers=peers, failed=failed(siblings), seconds=seconds(siblings),
        )  # fmt: skip
        if prior.failed is None:
            return out
        whose = wire.agent_key(fact.tenant, fact.agent_id)
        return [Line(INBOX, whose, codec.INBOX, codec.encode(prior)), *out]

    def _counted(self, key: str, src: Src, fact: Learned) -> list[Output]:
        if not self.room.has(key):
            return []
        state: PriorState = self._partition.open(key)
        state.take(fact)
        state.deadline = self._partition.now + FORGET_SECONDS
        self._partition.close(key, state)
        peers, siblings = state.siblings("", fact.peers)
        said = Baseline(
            src=src, tenant=fact.tenant, peers=peers, tool=fact.tool,
            failed=failed(siblings), seconds=seconds(siblings),
        )  # fmt: skip
        if said.failed is None:
            return []
        name = f"{fact.tenant}/{peers}/{fact.tool}"
        return [Latest(BASELINES, name, codec.BASELINES, codec.encode(said))]

    def passed(self, key: str) -> None:
        """Nobody has told of the tool for a week."""
        self.room.drop(key)
