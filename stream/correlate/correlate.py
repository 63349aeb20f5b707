"""What is wider than one agent: incidents, breakers of wide scopes. Sans-I/O; `runner.py` moves it.

One incident for each trip. A wide scope is stopped and released by people alone (`wide`); its state is
mirrored into the owner's own control record. How many agents of a tenant soft rules may stop by themselves
is counted here too (`braking`), and what a newcomer inherits from its siblings (`priors`). Which alarms may
have one cause is judged in `sharing`, where a run may have gone wrong first in `attributing`.
"""

from collections.abc import Sequence

import msgspec

from ingest import codec
from ingest.records import Census, Hindered, Incident, Learned, Reopened, Src, Summary
from ingest.topics import DLQ, FLEET, INCIDENTS
from stream.correlate import contending, priors, shared_cause, sharing
from stream.correlate.attributing import Attributing
from stream.correlate.braking import Braking
from stream.correlate.contending import Contending, ContentionState
from stream.correlate.priors import Priors, PriorState
from stream.correlate.shared_cause import NODES_MAX, NodeState
from stream.correlate.sharing import HeldState, Sharing, sources
from stream.dead_letters import letter
from stream.finding import attribution
from stream.finding.attribution import TraceState
from stream.outputs import Line, Order, Output
from stream.partition import Marker, Partition, Snapshot
from stream.stopping import brake, wide
from stream.stopping.brake import TenantState
from stream.stopping.wide import WideState
from tracefuse import wire
from tracefuse.control import Command, Reason
from tracefuse.errors import DecodeError
from tracefuse.people import Signed
from tracefuse.signing import CommandVerifier

_told = msgspec.json.Decoder(Summary | Census | Reopened | Learned | Hindered).decode
_signed = msgspec.json.Decoder(Signed).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

State = WideState | TenantState | TraceState | NodeState | HeldState | PriorState | ContentionState
_dump = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(State).decode


def _load(cell: bytes) -> State:
    """A state out of a checkpoint; brakes had no tag while they were the only lists."""
    try:
        found: State = _read(cell)
    except msgspec.ValidationError:
        return msgspec.convert(["brake", *msgspec.msgpack.decode(cell)], TenantState)
    return found


_KINDS: dict[str, type[TraceState | NodeState | HeldState | PriorState | ContentionState]] = {
    attribution.PREFIX: TraceState, shared_cause.PREFIX: NodeState, sharing.HELD: HeldState,
    priors.PREFIX: PriorState, contending.PREFIX: ContentionState,
}  # fmt: skip


def _fresh(key: str) -> State:
    for prefix, kind in _KINDS.items():
        if key.startswith(prefix):
            return kind()
    return brake.fresh(key) if key.startswith(brake.PREFIX) else wide.fresh(key)


class Correlate:
    """Decisions of `agent.fleet.v1`, its one partition.

    Parameters
    ----------
    number
        The partition.
    verifier
        Checks what people ordered.
    """

    topic = FLEET

    def __init__(self, number: int, verifier: CommandVerifier):
        self.number = number
        self.verifier = verifier
        keys_max = wide.SCOPES_MAX + brake.TENANTS_MAX + attribution.TRACES_MAX
        keys_max += NODES_MAX + sharing.TENANTS_MAX + priors.TOOLS_MAX + contending.TOOLS_MAX
        self.partition: Partition[State] = Partition(
            _fresh, _dump, _load, keys_max, gone=lambda state: self._gone(state)
        )
        self._braking = Braking(self.partition)
        self._attributing = Attributing(self.partition)
        self._sharing = Sharing(self.partition)
        self._priors = Priors(self.partition)
        self._contending = Contending(self.partition)
        self._rooms = (
            self._braking.room, self._attributing.room, self._sharing.nodes, self._sharing.waiting,
            self._priors.room, self._contending.room,
        )  # fmt: skip
        # What wide scopes are told while they are not closed, for whoever owns them next.
        self.standing: dict[str, Command] = {}

    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> Sequence[Output]:
        """Incidents and commands that follow from the next record."""
        partition = self.partition
        partition.begin(offset, timestamp)
        found: list[Output] = []
        for number, (key, state) in enumerate(partition.due()):
            if isinstance(state, TenantState):
                self._braking.passed(key, state)
            elif isinstance(state, TraceState):
                self._attributing.passed(key)
            elif isinstance(state, PriorState):
                self._priors.passed(key)
            elif isinstance(state, ContentionState):
                self._contending.passed(key)
            elif isinstance(state, NodeState | HeldState):
                due = self._sharing.passed(key, state)
                found += _lines(sources(due, (FLEET, self.number, offset, -1, 0), len(found)))
            elif wide.passed(state, partition.now, offset):
                found.append(self._commanded(state, None, (FLEET, self.number, offset, -1, number)))
        kind = wire.header(headers, wire.KIND)
        judge = {codec.SUMMARIES: self._told, codec.ORDERS: self._order}.get(kind)
        if judge is None:
            return found
        for number, line in enumerate(codec.lines(value)):
            src: Src = (FLEET, self.number, offset, number, 0)
            try:
                found += judge(src, line)
            except _UNREADABLE as error:
                dead = letter(src, DecodeError("malformed", str(error)), line)
                found.append(Line(DLQ, f"{FLEET}/{self.number}", codec.DEAD, dead))
        return found

    def _told(self, src: Src, line: bytes) -> list[Output]:
        """What an owner of agents tells: a trip or an alarm, or how many of them are at work."""
        fact = _told(line)
        if not self.partition.accepts(fact.src):
            return []
        if isinstance(fact, Census):
            return self._braking.census(src, fact)
        if isinstance(fact, Learned):
            return self._priors.learned(src, fact)
        if isinstance(fact, Hindered):
            return _lines(self._contending.hindered(src, fact))
        if isinstance(fact, Reopened):
            return self._braking.opened(src, fact.tenant, fact.agent_id)
        now, more = self._sharing.alarm(fact.signal, self._incident(src, fact))
        braked = self._braking.trip(src, fact)  # its incident has the number 1
        return [*_lines(now), *braked, *_lines(sources(more, src, 2))]

    def _order(self, src: Src, line: bytes) -> list[Output]:
        """A person's signed word: mirrored into the owner's own record."""
        partition = self.partition
        command = wide.order(_signed(line), self.verifier, partition.now)
        if command is None:
            return []
        state = partition.open(command.scope)
        assert isinstance(state, WideState), "no scope is named like a brake"
        changed = wide.obey(state, command, partition.now, partition.offset)
        partition.close(command.scope, state)
        return [self._commanded(state, command.reason, src)] if changed else []

    def _commanded(self, state: WideState, reason: Reason | None, src: Src) -> Order:
        command = wide.command(state, reason, src)
        self.standing.pop(command.scope, None)
        if command.state != "closed":
            self.standing[command.scope] = command
            if len(self.standing) > wide.SCOPES_MAX:
                del self.standing[next(iter(self.standing))]
        return Order(command)

    def _incident(self, src: Src, summary: Summary) -> Incident:
        signal = summary.signal
        found = self._attributing.candidate(summary)
        incident = Incident(
            src=src, incident_id=f"inc-{src[2]}.{src[3]}", tenant=signal.tenant,
            agent_id=signal.agent_id, severity=signal.severity,
            title=f"{signal.detector} {signal.action}: {signal.agent_id}", sentence=signal.sentence,
            detector=signal.detector, action=signal.action, scope=signal.scope,
            cmd_id=signal.cmd_id, trace_id=signal.trace_id, signal_id=signal.signal_id,
            first_event=signal.first_event, last_event=signal.last_event, owner=summary.owner,
            routes=summary.routes, why=signal.why, owasp=signal.owasp, atlas=signal.atlas,
            opened_at=round(self.partition.now, 3), rank=signal.rank,
            agents=[signal.agent_id],
        )  # fmt: skip
        if found is not None:
            incident.candidate_agent, incident.candidate_step = found.agent_id, found.step_id
            incident.candidate_share = round(found.share, 3)
        return incident

    def _gone(self, state: State) -> None:
        for room in self._rooms:
            room.gone(state)

    def freeze(self) -> Snapshot:
        self.partition.own = msgspec.json.encode(list(self.standing.values()))
        return self.partition.freeze()

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        self.partition.restore(marker, cells)
        for room in self._rooms:
            room.restored(cells)
        standing = msgspec.json.decode(marker.own, type=list[Command]) if marker.own else []
        self.standing = {command.scope: command for command in standing}


def _lines(incidents: Sequence[Incident]) -> list[Output]:
    return [
        Line(INCIDENTS, one.incident_id, codec.INCIDENTS, codec.encode(one)) for one in incidents
    ]
