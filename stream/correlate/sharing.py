"""Correlate's hand on shared causes: which alarms become one incident, and who hears of it. Pure.

    alarm ──► waits 2 s for others ──► alone: told as it is
                                  └──► many on one node: one incident, and its children are muted

A muted incident is stored and linked (`parent`) but told to nobody. Each owner hears of a node once.
"""

from collections.abc import Iterable
from math import inf
from typing import Any

import msgspec

from ingest.records import AGENTS_TOLD, Incident, Signal, Src
from stream import alarm, ranking
from stream.correlate.rooms import Room
from stream.correlate.shared_cause import (
    NODES_MAX,
    PREFIX,
    ROUTES_MAX,
    NodeState,
    counts,
    nodes,
    scope,
    waits,
)
from stream.partition import Partition
from stream.sentences import fleet as sentences
from stream.stopping.brake import PREFIX as BRAKE
from stream.stopping.brake import TenantState

HELD = "held:"
# A tool that breaks is noticed by its agents within a second or two of each other; people notice no less.
HOLD_SECONDS = 2.0
HELD_MAX = 64  # incidents of one tenant that wait; one more is told at once
TENANTS_MAX = 500  # tenants with incidents that wait


class Waiting(msgspec.Struct, array_like=True):
    """One incident that waits for others."""

    incident: Incident
    nodes: list[str]
    until: float


class HeldState(msgspec.Struct, array_like=True, tag="held"):
    """Incidents of one tenant that wait, the oldest first; at most 64 of about 1 kB, for 2 s."""

    waiting: list[Waiting] = []
    last: int = 0
    deadline: float = inf

    def arm(self) -> None:
        self.deadline = self.waiting[0].until if self.waiting else inf


class Sharing:
    """Nodes of all tenants.

    Parameters
    ----------
    partition
        Holds their states, beside others.
    """

    def __init__(self, partition: Partition[Any]):
        self._partition = partition
        self.nodes = Room(partition, PREFIX, NodeState, NODES_MAX)
        self.waiting = Room(partition, HELD, HeldState, TENANTS_MAX)

    # -- alarms ------------------------------------------------------------------------------------

    def alarm(self, signal: Signal, incident: Incident) -> tuple[list[Incident], list[Incident]]:
        """What becomes of an alarm's incident: itself, unless it waits; and what follows from it."""
        if not counts(signal):
            return [incident], []
        now, tenant, names = self._partition.now, signal.tenant, nodes(signal)
        states = {name: self._taken(tenant, name, incident) for name in names}
        known = {name: state for name, state in states.items() if state is not None}
        joined = next((name for name, state in known.items() if state.incident is not None), "")
        if joined:
            return [self._joined(tenant, joined, incident)], []
        active = self._active(tenant)
        opened = next(
            (name for name, state in known.items() if state.shared(name, active, now)), ""
        )
        if opened:
            whole, children = self._opened(tenant, opened, signal, incident)
            return [incident], [whole, *children]
        narrow = [name for name in known if not name.startswith("tenant:")]
        if narrow and waits(signal) and self._hold(tenant, incident, list(known)):
            return [], []
        return [incident], []

    def _taken(self, tenant: str, name: str, incident: Incident) -> NodeState | None:
        """A node after one more alarm; None where there is no room for it."""
        partition, key = self._partition, _key(tenant, name)
        if not self.nodes.has(key):
            return None
        state: NodeState = partition.open(key)
        state.take(incident.agent_id, incident.incident_id, partition.now)
        partition.close(key, state)
        return state

    def _joined(self, tenant: str, name: str, child: Incident) -> Incident:
        """A child of an open incident. It is told once more where its owner has not heard of the node."""
        key = _key(tenant, name)
        state: NodeState = self._partition.open(key)
        whole = state.incident
        assert whole is not None
        state.joined += 1
        whole.agents = list(dict.fromkeys([*whole.agents, child.agent_id]))[:AGENTS_TOLD]
        child.parent = whole.incident_id
        child.muted = set(child.routes) <= set(whole.routes)
        if not child.muted:
            child.sentence = sentences.part_of(child.sentence, whole.incident_id, name)
            whole.routes = list(dict.fromkeys([*whole.routes, *child.routes]))[:ROUTES_MAX]
        self._partition.close(key, state)
        return child

    def _opened(
        self, tenant: str, name: str, signal: Signal, child: Incident
    ) -> tuple[Incident, list[Incident]]:
        """One incident at the node, and those that waited as its children."""
        now, key, active = self._partition.now, _key(tenant, name), self._active(tenant)
        state: NodeState = self._partition.open(key)
        held = self._released(tenant, name)
        routes = [route for one in (*held, child) for route in one.routes]
        kind = alarm.failure("shared_cause")
        whole = Incident(
            src=child.src, incident_id=f"{child.incident_id}.node", tenant=tenant, agent_id="",
            severity="high", title=f"shared cause: {name}", detector="shared_cause",
            sentence=sentences.shared_cause(
                tenant, name, list(state.window), state.expected(active, now), scope(tenant, name)
            ),
            action="annotate", scope=scope(tenant, name), signal_id=signal.signal_id,
            first_event=signal.first_event, last_event=signal.last_event, owner=child.owner,
            routes=list(dict.fromkeys(routes))[:ROUTES_MAX], why=kind.why,
            owasp=list(kind.owasp), atlas=list(kind.atlas), opened_at=round(now, 3),
            node=name, children=[incident_id for _, incident_id in state.window.values()],
            rank=ranking.fact("high"), agents=list(state.window)[:AGENTS_TOLD],
        )  # fmt: skip
        for one in (*held, child):
            one.parent, one.muted = whole.incident_id, set(one.routes) <= set(whole.routes)
        state.incident, state.joined = whole, len(state.window)
        state.arm()
        self._partition.close(key, state)
        return whole, held

    def _active(self, tenant: str) -> int:
        """Agents of a tenant at work, as their owners told."""
        state = self._partition.get(BRAKE + tenant)
        return sum(state.active.values()) if isinstance(state, TenantState) else 0

    # -- incidents that wait -----------------------------------------------------------------------

    def _hold(self, tenant: str, incident: Incident, names: list[str]) -> bool:
        partition, key = self._partition, HELD + tenant
        known = partition.get(key)
        if known is not None and len(known.waiting) >= HELD_MAX:
            return False
        if not self.waiting.has(key):
            return False
        state: HeldState = partition.open(key)
        state.waiting.append(Waiting(incident, names, partition.now + HOLD_SECONDS))
        state.arm()
        partition.close(key, state)
        return True

    def _released(self, tenant: str, name: str) -> list[Incident]:
        """Those that waited and are the node's."""
        key = HELD + tenant
        if self._partition.get(key) is None:
            return []
        state: HeldState = self._partition.open(key)
        found = [one.incident for one in state.waiting if name in one.nodes]
        state.waiting = [one for one in state.waiting if name not in one.nodes]
        state.arm()
        self._partition.close(key, state)
        self._drop_empty(key, state)
        return found

    def _drop_empty(self, key: str, state: HeldState) -> None:
        if not state.waiting:
            self.waiting.drop(key)

    # -- time --------------------------------------------------------------------------------------

    def passed(self, key: str, state: NodeState | HeldState) -> list[Incident]:
        """Time has passed: who waited long enough is told, a node where all is quiet is over."""
        now = self._partition.now
        if isinstance(state, HeldState):
            due = [one.incident for one in state.waiting if one.until <= now]
            state.waiting = [one for one in state.waiting if one.until > now]
            state.arm()
            self._drop_empty(key, state)
            return due
        state.expire(now)
        found = []
        if state.over(now) and state.incident is not None:
            over, state.incident = state.incident, None
            over.status, over.children = "resolved", []
            over.sentence = sentences.shared_cause_over(over.node, state.joined)
            found.append(over)
        state.arm()
        if state.idle(now):
            self.nodes.drop(key)
        return found


def sources(incidents: Iterable[Incident], src: Src, first: int) -> list[Incident]:
    """Incidents that follow from one record under source marks of their own, from number `first` on."""
    found = list(incidents)
    for number, incident in enumerate(found, first):
        incident.src = (*src[:4], number)
    return found


def _key(tenant: str, name: str) -> str:
    return f"{PREFIX}{tenant}/{name}"
