"""Correlate's hand on the brake: what owners of agents tell, weighed; what all of them must hear. Pure.

Says nothing twice: a brake that stands as told needs no record.
"""

from collections.abc import Callable
from typing import Any

from ingest import codec
from ingest.records import AGENTS_TOLD, Braked, Census, Incident, Src, Summary
from ingest.topics import INBOX, INCIDENTS, TOPICS
from stream import alarm, ranking, sentences
from stream.correlate.rooms import Room
from stream.outputs import Line, Output, Placed
from stream.partition import Partition
from stream.stopping.brake import PREFIX, TENANTS_MAX, TenantState, obeys

INBOXES = TOPICS[INBOX].partitions


class Braking:
    """Brakes of all tenants.

    Parameters
    ----------
    partition
        Holds their states, beside those of wide scopes.
    """

    def __init__(self, partition: Partition[Any]):
        self._partition = partition
        self.room = Room(partition, PREFIX, TenantState, TENANTS_MAX)

    def census(self, src: Src, fact: Census) -> list[Output]:
        """An owner counted its agents at work."""
        found: list[Output] = []
        for n, (tenant, active) in enumerate(fact.active.items()):
            state = self._weighed(tenant, lambda state, a=active: state.count(fact.src[1], a))  # type: ignore[misc]
            found += self._said(state, src, 1 + n * INBOXES)
        return found

    def trip(self, src: Src, fact: Summary) -> list[Output]:
        """A stop of an agent by a soft rule counts; of the first that is held back people hear."""
        signal = fact.signal
        if not obeys(signal.detector, signal.severity, signal.scope):
            return []
        if signal.cmd_id:
            return self.opened(src, signal.tenant, signal.agent_id)
        state = self._partition.get(PREFIX + signal.tenant)
        if state is None or state.warned:
            return []
        self._weighed(signal.tenant, _warn)
        return [_incident(src, fact, state, self._partition.now)]

    def opened(self, src: Src, tenant: str, agent_id: str) -> list[Output]:
        """A soft rule stopped an agent, or one that it had stopped failed its trial."""
        now = self._partition.now
        return self._said(self._weighed(tenant, lambda state: state.opened(agent_id, now)), src, 1)

    def passed(self, key: str, state: TenantState) -> None:
        """Time has passed for a tenant. A brake that ends so ends at its owners by itself."""
        state.judged(self._partition.now)
        if state.idle:
            self.room.drop(key)

    def _weighed(self, tenant: str, change: Callable[[TenantState], None]) -> TenantState | None:
        """The state of a tenant after a change, if its owners must hear of it."""
        partition, key = self._partition, PREFIX + tenant
        if not self.room.has(key):
            return None
        state: TenantState = partition.open(key)
        change(state)
        changed = state.judged(partition.now)
        partition.close(key, state)
        if state.idle:
            self.room.drop(key)
        return state if changed else None

    def _said(self, state: TenantState | None, src: Src, first: int) -> list[Output]:
        """For every owner of agents; each line with a source mark of its own."""
        if state is None:
            return []
        topic, partition, offset, line, _ = src
        return [
            Placed(
                INBOX, number, codec.INBOX,
                codec.encode(
                    Braked(
                        src=(topic, partition, offset, line, first + number),
                        tenant=state.tenant, until=state.until,
                    )
                ),
            )
            for number in range(INBOXES)
        ]  # fmt: skip


def _warn(state: TenantState) -> None:
    state.warned = True


def _incident(src: Src, fact: Summary, state: TenantState, now: float) -> Line:
    """So many agents of one tenant at once: one more is a matter for people."""
    signal, stopped = fact.signal, len(state.openings)
    words = sentences.braked(
        state.tenant, stopped, sum(state.active.values()), state.allowed
    )  # fmt: skip
    kind = alarm.failure("brake")
    incident = Incident(
        src=(*src[:4], 1), incident_id=f"inc-{src[2]}.{src[3]}.1", tenant=state.tenant, agent_id="",
        severity="high", title=f"brake: {state.tenant}", sentence=words, detector="brake",
        action="step-up", scope=f"tenant:{state.tenant}", signal_id=signal.signal_id,
        first_event=signal.first_event, last_event=signal.last_event, owner=fact.owner,
        routes=fact.routes, why=kind.why, owasp=list(kind.owasp), atlas=list(kind.atlas),
        opened_at=round(now, 3), rank=ranking.fact("high"), agents=list(state.openings)[-AGENTS_TOLD:],
    )  # fmt: skip
    return Line(INCIDENTS, incident.incident_id, codec.INCIDENTS, codec.encode(incident))
