"""How many agents of each tenant are at work, as the owner of one partition counts them. Pure."""

import msgspec

from ingest import codec
from ingest.records import Census
from ingest.topics import FLEET
from stream.agent.agent_state import AgentState
from stream.agent.saying import Saying
from stream.outputs import Line

# At work is who gave a sign of life within so long; the blast radius is a share of these.
ACTIVE_SECONDS = 300.0
# A count that changes is told at most so often: a fleet that starts must be known before it can fail.
TELL_SECONDS = 1.0
# Beyond so many a tenant counts as one agent's; a checkpoint and a record must hold their names.
TENANTS_MAX = 500


class Count(msgspec.Struct):
    """Agents at work by tenant, tenants whose count was not told since it changed, and when one was."""

    active: dict[str, int] = {}
    untold: list[str] = []
    told_at: float = 0.0


class Roll:
    """Agents at work, by tenant.

    Attributes
    ----------
    count
        All that is remembered of it.

    Notes
    -----
    An agent looks at its own time once in `ACTIVE_SECONDS`, so it leaves the count up to twice that after
    its last sign of life, and a sign of life costs nothing.
    """

    def __init__(self) -> None:
        self.count = Count()

    def heard(self, agent: AgentState, now: float) -> None:
        """A record was applied to an agent: it is at work if that was a sign of life."""
        if agent.active_until or agent.heard != now:
            return
        active = self.count.active
        if agent.tenant in active or len(active) < TENANTS_MAX:
            agent.active_until = now + ACTIVE_SECONDS
            self._changed(agent.tenant, 1)

    def passed(self, agent: AgentState, now: float) -> None:
        """Time has passed for an agent."""
        if not 0.0 < agent.active_until <= now:
            return
        if agent.heard + ACTIVE_SECONDS > now:
            agent.active_until = agent.heard + ACTIVE_SECONDS
        else:
            self.gone(agent)

    def gone(self, agent: AgentState) -> None:
        """An agent is silent, or forgotten."""
        if agent.active_until:
            agent.active_until = 0.0
            self._changed(agent.tenant, -1)

    def tell(self, saying: Saying) -> None:
        """Tell correlate the counts that changed, if it is time."""
        count = self.count
        if not count.untold or saying.now - count.told_at < TELL_SECONDS:
            return
        tenants, count.untold = count.untold[:TENANTS_MAX], count.untold[TENANTS_MAX:]
        count.told_at = saying.now
        active = {tenant: count.active.get(tenant, 0) for tenant in tenants}
        census = codec.encode(Census(src=saying.take(), active=active))
        saying.put(Line(FLEET, "", codec.SUMMARIES, census))

    def _changed(self, tenant: str, step: int) -> None:
        count = self.count
        left = count.active.pop(tenant, 0) + step
        if left > 0:
            count.active[tenant] = left
        if tenant not in count.untold:  # a few a second
            count.untold.append(tenant)
