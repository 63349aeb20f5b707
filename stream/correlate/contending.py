"""Correlate's hand on contention: agents of one tenant that hinder each other at one resource (D29). Pure.

failed calls of agents ──► by tenant and tool: the last minute ──► too many at one thing ──► one incident

What it was about is known by hash alone. Nothing is stopped by it: each agent's own rules do that.
"""

from math import inf
from typing import Any

import msgspec

from detectors import CATALOGUE, Contention
from ingest.records import AGENTS_TOLD, Hindered, Incident, Src
from stream import alarm, ranking
from stream.correlate.rooms import Room
from stream.partition import Partition
from stream.sentences import fleet as sentences

PREFIX = "contention:"
# Tools of all tenants with a failure of late; a new one beyond it is not looked at.
TOOLS_MAX = 1000
# Longer than a failure counts: one resource is told once, until it was quiet so long.
QUIET_SECONDS = 900.0
TOLD_MAX = 16  # resources of one tool
ROUTES_MAX = 32  # of one incident


class Met(msgspec.Struct, array_like=True):
    """One failed call."""

    at: float
    agent_id: str
    kind: str
    about: tuple[int, ...]
    event_id: str
    routes: list[str]


class ContentionState(msgspec.Struct, array_like=True, tag="contention"):
    """One tool of a tenant: its hindered calls of the last minute, and what was told. About 4 kB at most."""

    window: list[Met] = []
    told: dict[int, float] = {}  # by resource: when somebody failed at it last
    last: int = 0
    deadline: float = inf

    def news(self, resource: int, now: float) -> bool:
        """Whether a resource was not told of lately; it is from now on."""
        self.told = {one: at for one, at in self.told.items() if at + QUIET_SECONDS > now}
        known = self.told.pop(resource, None)
        self.told[resource] = now
        if len(self.told) > TOLD_MAX:
            del self.told[next(iter(self.told))]
        return known is None


class Contending:
    """Tools of all tenants.

    Parameters
    ----------
    partition
        Holds their states, beside others.
    """

    def __init__(self, partition: Partition[Any]):
        self._partition = partition
        self.room = Room(partition, PREFIX, ContentionState, TOOLS_MAX)

    def passed(self, key: str) -> None:
        """Nobody has failed so for long."""
        self.room.drop(key)

    def hindered(self, src: Src, fact: Hindered) -> list[Incident]:
        """A call has failed; the incident where it is one of too many."""
        key, now = f"{PREFIX}{fact.tenant}/{fact.tool}", self._partition.now
        if not self.room.has(key):
            return []
        state: ContentionState = self._partition.open(key)
        rule = Contention()
        rule.window = [(one.at, one.agent_id, one.kind, one.about) for one in state.window]
        rule.update(fact.agent_id, fact.kind, fact.about, now)
        newest = Met(
            now, fact.agent_id, fact.kind, rule.window[-1][3], fact.event_id[:64], fact.routes
        )
        state.window = [*state.window, newest][-len(rule.window) :]
        found = []
        if rule.fires and state.news(rule.resource, now):
            found.append(self._incident(src, fact, rule, state))
        state.deadline = now + QUIET_SECONDS
        self._partition.close(key, state)
        return found

    def _incident(
        self, src: Src, fact: Hindered, rule: Contention, state: ContentionState
    ) -> Incident:
        kind, entry = alarm.failure("contention"), CATALOGUE["contention"]
        met = [one for one in state.window if rule.resource in one.about]
        routes = dict.fromkeys(route for one in met for route in one.routes)
        return Incident(
            src=src, incident_id=f"inc-{src[2]}.{src[3]}", tenant=fact.tenant, agent_id="",
            severity=entry.severity, title=f"contention: {fact.tool}", detector="contention",
            sentence=sentences.contention(fact.tool, rule.evidence()), action=entry.action,
            trace_id=fact.trace_id, signal_id="", first_event=met[0].event_id,
            last_event=met[-1].event_id, owner=fact.owner, routes=list(routes)[:ROUTES_MAX],
            why=kind.why, owasp=list(kind.owasp), atlas=list(kind.atlas),
            opened_at=round(self._partition.now, 3), node=f"tool:{fact.tool}",
            rank=ranking.fact(entry.severity),
            agents=list(dict.fromkeys(one.agent_id for one in met))[:AGENTS_TOLD],
        )  # fmt: skip
