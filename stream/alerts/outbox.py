"""What one route still has to be told: when, how often, and how much of it in one message. Pure.

Few incidents go one by one. More than an agent's share of a minute go together, and so does what has waited
while the route was away: an outage ends with one message, not with a storm.
"""

from collections import deque
from dataclasses import dataclass

from ingest.records import Incident
from stream.alerts.backoff import Backoff
from stream.alerts.notice import Notice, of_many, of_one

MINUTE = 60.0
AGENT_PER_MINUTE = 5  # a person reads no more; the rest is one summary
ROUTE_PER_MINUTE = 30  # over all agents
GIVE_UP_SECONDS = 3600.0  # tried so long; then the incident is on the dashboard alone
WAITING_MAX = 1000  # incidents of one route; beyond it the oldest is told to nobody, and counted

Agent = tuple[str, str]


@dataclass(slots=True)
class _Waiting:
    incident: Incident
    since: float


@dataclass(frozen=True, slots=True)
class Message:
    """What to send now, and which incidents it tells of."""

    notice: Notice
    incidents: tuple[Incident, ...]


class Outbox:
    """One route. At most one message is on its way.

    Notes
    -----
    Bounded by `WAITING_MAX` incidents. `now` in seconds of any clock that never falls.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._sent: deque[tuple[float, Agent | None]] = deque()  # of the last minute
        self._out: Message | None = None
        self._retry = Backoff()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, incident: Incident, now: float) -> list[Incident]:
        """One more incident to tell of; returns those that no longer fit."""
        self._waiting.append(_Waiting(incident, now))
        over = len(self._waiting) - WAITING_MAX
        return [self._waiting.popleft().incident for _ in range(over)]

    def take(self, now: float) -> Message | None:
        """The next message, if one is due."""
        if self._out is not None or not self._waiting or not self._retry.over(now):
            return None
        while self._sent and now - self._sent[0][0] >= MINUTE:
            self._sent.popleft()
        self._out = self._next()
        return self._out

    def delivered(self, now: float) -> tuple[Incident, ...]:
        """The route took the message; returns the incidents that are told."""
        told = self._done()
        agents = {(one.tenant, one.agent_id) for one in told}
        self._sent.append((now, agents.pop() if len(agents) == 1 else None))
        self._retry = Backoff()
        return told

    def failed(self, now: float, hopeless: bool = False) -> tuple[Incident, ...]:
        """The route did not take it; returns the incidents that are given up."""
        self._out = None
        self._retry.failed(now)
        lost = [
            one.incident for one in self._waiting if hopeless or now - one.since >= GIVE_UP_SECONDS
        ]
        self._forget(lost)
        return tuple(lost)

    def _next(self) -> Message | None:
        left = ROUTE_PER_MINUTE - len(self._sent)
        if left <= 0:
            return None
        by_agent: dict[Agent, list[Incident]] = {}
        for one in self._waiting:
            key = (one.incident.tenant, one.incident.agent_id)
            by_agent.setdefault(key, []).append(one.incident)
        away = self._retry.failures > 0 and len(self._waiting) > AGENT_PER_MINUTE
        if away or len(by_agent) > left:
            return _message([one.incident for one in self._waiting])
        for agent, incidents in by_agent.items():
            share = AGENT_PER_MINUTE - sum(of == agent for _, of in self._sent)
            if share >= len(incidents):
                return _message(incidents[:1])
            if share > 0:
                return _message(incidents)
        return None

    def _done(self) -> tuple[Incident, ...]:
        assert self._out is not None, "nothing is on its way"
        told, self._out = self._out.incidents, None
        self._forget(list(told))
        return told

    def _forget(self, incidents: list[Incident]) -> None:
        gone = {id(one) for one in incidents}
        self._waiting = deque(one for one in self._waiting if id(one.incident) not in gone)


def _message(incidents: list[Incident]) -> Message:
    notice = of_one(incidents[0]) if len(incidents) == 1 else of_many(incidents)
    return Message(notice, tuple(incidents))
