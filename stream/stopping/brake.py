"""The blast-radius brake: how many agents of one tenant soft rules may stop by themselves. Pure.

    agents at work (census), agents stopped ──► correlate ──► braked until ──► every agent's owner

A soft rule judges by shares or by habit, so one shared cause bends it for many agents at once, and a mistake
of its own would stop a whole fleet. Limits that somebody set are not soft: they stop whoever passes them.
"""

from dataclasses import dataclass, field
from math import inf

import msgspec

from detectors import CATALOGUE
from ingest.records import Braked

# Of a tenant's active agents, at least one (Envoy ejects 10 % of its hosts, at least one).
SHARE = 0.1
WINDOW = 300.0
# Openings remembered of a tenant: their names must fit into a record. Beyond so many the brake is on anyway.
OPENINGS_MAX = 2048
# Each owner of agents counts at most 500 (`roll.TENANTS_MAX`), and there are eight.
TENANTS_MAX = 4000
# Tenants that are braked at one moment; beyond it the one braked longest ago goes.
BRAKED_MAX = 500
PREFIX = "brake:"


def obeys(detector: str, severity: str, scope: str) -> bool:
    """Whether a stop waits while its tenant is braked.

    A tool or a run in the hands of one agent stops a part of it and is no blast; critical is too urgent.

    >>> obeys("error_rate", "medium", "agent:acme/refunds"), obeys("cost_cap", "high", "agent:acme/refunds")
    (True, False)
    """
    entry = CATALOGUE.get(detector)
    soft = entry is not None and entry.soft and severity != "critical"
    return soft and scope.startswith("agent:")


class TenantState(msgspec.Struct, array_like=True, tag="brake"):
    """One tenant as correlate sees it: agents at work, agents that soft rules stopped, what was said."""

    tenant: str
    active: dict[int, int] = {}  # by partition of their owners
    openings: dict[str, float] = {}  # when a soft rule stopped an agent last, the oldest first
    until: float = 0.0  # braked so long, as the owners were told
    warned: bool = False  # people know of this brake
    last: int = 0
    deadline: float = inf

    @property
    def allowed(self) -> int:
        """How many agents soft rules may stop within the window."""
        share = int(sum(self.active.values()) * SHARE)
        return min(max(1, share), OPENINGS_MAX)

    @property
    def idle(self) -> bool:
        """Whether nothing is known that a fresh state would not say."""
        return not self.active and not self.openings

    def count(self, partition: int, active: int) -> None:
        """An owner tells how many agents of the tenant are at work in its partition."""
        self.active.pop(partition, None)
        if active > 0:
            self.active[partition] = active

    def opened(self, agent_id: str, now: float) -> None:
        """A soft rule stopped an agent. Said twice it counts once."""
        self.openings.pop(agent_id, None)
        self.openings[agent_id] = now
        if len(self.openings) > OPENINGS_MAX:
            del self.openings[next(iter(self.openings))]

    def judged(self, now: float) -> bool:
        """Let time pass, and weigh anew; whether the owners of agents must hear of it."""
        for agent_id, at in list(self.openings.items()):
            if at + WINDOW > now:
                break
            del self.openings[agent_id]
        times = list(self.openings.values())
        self.deadline = times[0] + WINDOW if times else inf
        # Braked until so many have left the window that there is room for one.
        until = round(times[-self.allowed] + WINDOW, 3) if len(times) >= self.allowed else 0.0
        before = self.until if self.until > now else 0.0
        self.until = until
        self.warned = self.warned and before > 0.0
        return until != before


def fresh(key: str) -> TenantState:
    """A tenant of which nothing is known, by its key."""
    return TenantState(key.removeprefix(PREFIX))


@dataclass(slots=True)
class Brakes:
    """Which tenants are braked, as an owner of agents was told."""

    until: dict[str, float] = field(default_factory=dict)

    def take(self, said: Braked, now: float) -> None:
        """Correlate brakes a tenant, or lets it go. A brake ends by itself, should correlate not live."""
        for tenant in [tenant for tenant, until in self.until.items() if until <= now]:
            del self.until[tenant]
        self.until.pop(said.tenant, None)
        if said.until > now:
            self.until[said.tenant] = said.until
            if len(self.until) > BRAKED_MAX:
                del self.until[next(iter(self.until))]

    def holds(self, tenant: str, now: float) -> bool:
        return now < self.until.get(tenant, 0.0)
