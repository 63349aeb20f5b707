"""Second stage: facts of one agent in, signals and commands out. Pure.

The agent's owner in the sense of the law: its limits and breakers change here and nowhere else, by the
next record of its partition. What the detectors find is in `findings`; here it is decided and written.
"""

import pickle
from math import inf
from typing import Any

import msgspec

from detectors import CATALOGUE, Silence
from ingest import codec
from ingest.records import (
    Ack,
    Acknowledged,
    Alive,
    Asked,
    Decided,
    Fact,
    Ordered,
    Outcome,
    Registered,
    Run,
    Signal,
    Src,
    Step,
    Summary,
    Wanted,
)
from ingest.topics import APPROVALS, CONTROL_LOG, DLQ, FLEET, INBOX, SIGNALS
from stream import approving, findings, holding, registering, sentences
from stream.agent_state import AWAITING_MAX, ORDERS_KEPT, AgentState, Awaited, RunState, new_agent
from stream.agreements import Agreed, Pending
from stream.breaker import (
    PROBES,
    THROTTLE_MS,
    Breaker,
    Called,
    Ended,
    Event,
    Forced,
    State,
    Tick,
    Withdrawn,
)
from stream.breaker import (
    step as advance,
)
from stream.dead_letters import letter
from stream.findings import Finding
from stream.outputs import Answer, Forget, Line, Order, Output
from stream.partition import Marker, Partition, Snapshot
from stream.policy import Ruling
from stream.unpickle import loads
from tracefuse import control, wire
from tracefuse.control import Command, Reason
from tracefuse.errors import DecodeError
from tracefuse.signing import CommandVerifier

AGENTS_MAX = 10_000  # per partition
# The alarm must be out within 5 s of the command: a tick of 0.5 s and the way of the alarm fit behind.
ACK_SECONDS = 4.0
# Scopes that a new owner says again; the control topic itself keeps them all.
STANDING_MAX = 1000
# After an outage of ours agents first have to find the broker again.
GRACE_SECONDS = 10.0


class Detect:
    """Decisions for the agents of one partition of `agent.inbox.v1`.

    Parameters
    ----------
    number
        The partition.
    verifier
        Checks what people ordered.
    """

    topic = INBOX

    def __init__(self, number: int, verifier: CommandVerifier, agents_max: int = AGENTS_MAX):
        self.number = number
        self.verifier = verifier
        self.partition: Partition[AgentState] = Partition(
            new_agent, pickle.dumps, loads, agents_max
        )
        # What this partition's scopes are told while they are not closed, for whoever owns it next.
        self.standing: dict[str, Command] = {}
        self._out: list[Output] = []
        self._src: Src = (INBOX, number, -1, -1, 0)

    # -- records ---------------------------------------------------------------------------------

    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> list[Output]:
        """What follows from the next record. `timestamp` is the broker's, in seconds."""
        partition = self.partition
        partition.begin(offset, timestamp)
        self._src = (INBOX, self.number, offset, -1, 0)
        if partition.gap:
            self._stood_still(partition.gap)
        for _, agent in partition.due():
            self._timer(agent)
        if wire.header(headers, wire.KIND) == codec.INBOX:
            for number, line in enumerate(codec.lines(value)):
                self._src = (INBOX, self.number, offset, number, 0)
                self._line(line)
        out, self._out = self._out, []
        return out

    def _line(self, line: bytes) -> None:
        try:
            fact = codec.fact(line)
        except DecodeError as error:
            dead = letter(self._src, error, line)
            self._out.append(Line(DLQ, f"{INBOX}/{self.number}", codec.DEAD, dead))
            return
        if isinstance(fact, (Step, Run, Alive, Ack)) and not self.partition.accepts(fact.src):
            return  # a replay of what was applied
        key = wire.agent_key(fact.tenant, fact.agent_id)
        agent = self.partition.open(key)
        self._fact(agent, fact)
        agent.arm()
        self.partition.close(key, agent)

    def _fact(self, agent: AgentState, fact: Fact) -> None:
        match fact:
            case Step():
                self._step(agent, fact)
            case Alive():
                self._alive(agent, fact)
            case Run():
                self._run(agent, fact)
            case Ack():
                self._ack(agent, fact)
            case Registered():
                refused = registering.take(agent, fact, self.verifier)
                if refused is not None:
                    self._signal(agent, None, incident=True, **refused)
            case Ordered():
                self._ordered(agent, fact)
            case Decided():
                self._decided(agent, fact)

    # -- steps and runs --------------------------------------------------------------------------

    def _step(self, agent: AgentState, step: Step) -> None:
        if step.echo:
            return
        if not step.spooled:
            agent.heard = self.partition.now
            agent.at = max(agent.at, step.at)
        run = agent.run(step.trace_id)
        run.first_event = run.first_event or step.request_id or step.result_id
        run.last_event = step.result_id or step.request_id
        if run.silence is not None and not step.spooled:
            run.silence.heard(self.partition.now)
        self._unregistered(agent, step)
        if step.phase == "request":
            found = findings.on_request(agent, step)
            if not step.spooled:  # it began before whatever stands now
                self._each_breaker(agent, step, Called(step.step_id))
        else:
            found = findings.on_complete(agent, step)
            ended = Ended(step.step_id, step.status == "error")
            refused = step.status == "not_run"
            self._each_breaker(agent, step, Withdrawn(step.step_id) if refused else ended)
            holding.ended(agent, step, max(agent.at, step.at))
        for finding in found:
            self._found(agent, step, finding)
        if step.held is not None and step.phase == "request":
            self._hold(agent, step, step.held)

    def _hold(self, agent: AgentState, step: Step, asked: Asked) -> None:
        """Answer a call that waits; a refusal is told with what every gate said."""
        verdict, ruling = holding.answer(agent, step, self.partition.now, self._take())
        self._out.append(Answer(verdict, asked.kid))
        if ruling is None or ruling.word == "allow":
            return
        asks = ruling.word == "needs_approval"
        if asks and verdict.approval_id not in agent.pending:
            self._want(agent, step, ruling, verdict.approval_id)
        elif asks:
            return  # it waits already, and people know
        self._signal(
            agent, step, incident=asks, detector="policy", evidence_class="rule",
            severity="medium" if asks else "low", action="step-up" if asks else "block-call",
            sentence=sentences.verdict(step.tool, ruling.word, ruling.reason),
            evidence={
                "gate": ruling.gate, "word": ruling.word, "passed": list(ruling.passed),
                "rule": ruling.rule, "approval_id": verdict.approval_id,
            },
        )  # fmt: skip

    def _each_breaker(self, agent: AgentState, step: Step, event: Event) -> None:
        """Probes of half-open breakers: what the gate counts, calls of tools and of models."""
        if step.action not in ("tool", "llm"):
            return
        if agent.breaker.state is State.HALF_OPEN:
            self._move(agent, agent.breaker, event, None)
        run = agent.runs.get(step.trace_id)
        if run is not None and run.breaker.state is State.HALF_OPEN:
            self._move(agent, run.breaker, event, None)
        tool = agent.tools.get(step.tool)
        if tool is not None and tool.breaker.state is State.HALF_OPEN:
            self._move(agent, tool.breaker, event, None)

    def _run(self, agent: AgentState, fact: Run) -> None:
        if not fact.spooled:
            agent.heard = self.partition.now
        if fact.phase == "start":
            run = agent.run(fact.trace_id)
            run.first_event = run.first_event or fact.event_id
            if not fact.spooled:
                self._listen(agent, run)
            return
        ended = agent.end(fact.trace_id)
        if ended is not None and ended.breaker.epoch:
            scope = ended.breaker.scope
            for cmd_id in [a.cmd_id for a in agent.awaited.values() if a.scope == scope]:
                del agent.awaited[cmd_id]  # there is nothing left to stop
            self.standing.pop(ended.breaker.scope, None)
            self._out.append(Forget(control.control_key(ended.breaker.scope, "auto")))

    def _alive(self, agent: AgentState, fact: Alive) -> None:
        if fact.spooled:
            return
        agent.heard = self.partition.now
        if fact.in_run:
            run = agent.run(fact.trace_id)
            run.last_event = fact.event_id
            self._listen(agent, run)

    def _listen(self, agent: AgentState, run: RunState) -> None:
        if run.silence is None:
            run.silence = Silence(agent.file.heartbeat_s)
        run.silence.heard(self.partition.now)

    def _unregistered(self, agent: AgentState, step: Step) -> None:
        if agent.registered or agent.reported_unregistered:
            return
        agent.reported_unregistered = True
        self._signal(
            agent, step, detector="registry", evidence_class="rule", severity="medium",
            action="annotate", sentence=sentences.unregistered(), incident=True,
        )  # fmt: skip

    # -- calls that wait for a person ------------------------------------------------------------

    def _want(self, agent: AgentState, step: Step, ruling: Ruling, approval_id: str) -> None:
        """Ask people about a call."""
        now = self.partition.now
        one = approving.pending(agent.file, step, ruling, approval_id, now)
        if len(agent.pending) >= approving.PENDING_MAX:
            self._answered(agent, next(iter(agent.pending.values())), "expired")
        agent.pending[approval_id] = one
        self._approval(agent, approving.wanted(one, step, ruling, self._take(), now))

    def _decided(self, agent: AgentState, fact: Decided) -> None:
        """A person's answer; one that does not count changes nothing and is told."""
        now, one = self.partition.now, agent.pending.get(fact.approval_id)
        decision = approving.decide(one, fact, self.verifier, now)
        if isinstance(decision, str) or one is None:
            self._signal(
                agent, None, incident=False, detector="approval", evidence_class="rule",
                severity="medium", action="log", sentence=sentences.void_answer(str(decision)),
                evidence={"approval_id": fact.approval_id[:128], "kid": fact.kid[:128]},
            )  # fmt: skip
            return
        if decision.approved:
            agent.agreed[one.approval_id] = Agreed(one.tool, one.args_hash, one.expires)
            if len(agent.agreed) > approving.PENDING_MAX:
                del agent.agreed[next(iter(agent.agreed))]
        word = "approved" if decision.approved else "refused"
        self._answered(agent, one, word, decision.by, decision.reason, fact.kid)

    def _answered(
        self,
        agent: AgentState,
        one: Pending,
        word: str,
        by: str = "",
        reason: str = "",
        kid: str = "",
    ) -> None:
        """The waiting is over: for the record, and for the process that waits."""
        agent.pending.pop(one.approval_id, None)
        now = self.partition.now
        self._approval(agent, approving.outcome(one, word, self._take(), now, by, reason, kid))
        self._out.append(
            Answer(approving.note(agent, one, word, by, reason, self._take()), one.kid)
        )

    def _approval(self, agent: AgentState, record: Wanted | Outcome) -> None:
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self._out.append(Line(APPROVALS, key, codec.APPROVALS, codec.encode(record)))

    def _unattended(self, agent: AgentState) -> None:
        """Time passes and nobody answers: first the owner hears of it, then the answer is no."""
        now = self.partition.now
        for one in list(agent.pending.values()):
            if one.expires <= now:
                self._answered(agent, one, "expired")
            elif one.escalates <= now:
                one.escalates = inf
                self._signal(
                    agent, None, incident=True, detector="approval", evidence_class="rule",
                    severity="high", action="step-up", tool=one.tool, trace_id=one.trace_id,
                    sentence=sentences.unattended(one.tool, one.approval_id),
                    evidence={"approval_id": one.approval_id, "approvers": list(one.approvers)},
                )  # fmt: skip

    # -- decisions -------------------------------------------------------------------------------

    def _found(self, agent: AgentState, step: Step, finding: Finding) -> None:
        entry, order = CATALOGUE[finding.detector], None
        said: dict[str, Any] = {
            "detector": finding.detector, "evidence_class": entry.evidence_class,
            "severity": finding.severity, "action": finding.action, "sentence": finding.sentence,
            "evidence": finding.evidence, "score": finding.evidence.get("score", 0.0),
            "threshold": finding.evidence["threshold"], "n": finding.evidence.get("n", 0),
            "status": finding.evidence.get("status", "live"),
        }  # fmt: skip
        if finding.event is not None:
            breaker = self._target(agent, step, finding)
            reason = Reason(
                rule=finding.detector, text=finding.sentence,
                evidence=_named(step), last_emitted_at=step.completed_at or step.requested_at,
            )  # fmt: skip
            order = self._advanced(agent, breaker, finding.event, reason, finding.action)
            if order is None:
                return  # it stands open already
            said |= {"scope": breaker.scope, "cmd_id": order.cmd_id}
        incident = order is not None or (finding.warning and finding.detector == "cost_cap")
        self._signal(agent, step, incident=incident, **said)
        if order is not None:
            self._order(agent, order, step.trace_id)

    def _target(self, agent: AgentState, step: Step, finding: Finding) -> Breaker:
        if finding.target == "run":
            return agent.run(step.trace_id).breaker
        return agent.tool(step.tool).breaker if finding.target == "tool" else agent.breaker

    def _move(
        self, agent: AgentState, breaker: Breaker, event: Event, reason: Reason | None
    ) -> None:
        """Let an event act on a breaker, and command what follows."""
        order = self._advanced(agent, breaker, event, reason, "")
        if order is not None:
            self._order(agent, order, "")

    def _order(self, agent: AgentState, command: Command, trace_id: str) -> None:
        """Give a command, and wait for its acknowledgement."""
        self._out.append(Order(command))
        self.standing.pop(command.scope, None)
        if command.state != "closed":
            self.standing[command.scope] = command
            if len(self.standing) > STANDING_MAX:
                del self.standing[next(iter(self.standing))]
        self._await(agent, command, trace_id)

    def _advanced(
        self, agent: AgentState, breaker: Breaker, event: Event, reason: Reason | None, action: str
    ) -> Command | None:
        after = advance(breaker, event, self.partition.now, self.partition.offset)
        if after is breaker:
            return None
        self._replace(agent, breaker, after)
        if after.epoch == breaker.epoch:
            return None
        if after.state in (State.OPEN, State.CLOSED):
            self._fresh_windows(agent, after)
        return self._command(after, reason or Reason(rule=f"breaker.{after.state.value}"), action)

    def _command(self, breaker: Breaker, reason: Reason, action: str) -> Command:
        state, src = breaker.state, self._take()
        return Command(
            cmd_id=_name("cmd", src), scope=breaker.scope,
            author="auto", action=action or ("open" if breaker.stopped else "log"),
            state=state.value, epoch=breaker.epoch, reason=reason, src=src,
            probes=PROBES if state is State.HALF_OPEN else 0,
            interval_ms=THROTTLE_MS if state is State.THROTTLED else 0,
        )  # fmt: skip

    def _replace(self, agent: AgentState, before: Breaker, after: Breaker) -> None:
        if agent.breaker is before:
            agent.breaker = after
            return
        for tool in agent.tools.values():
            if tool.breaker is before:
                tool.breaker = after
        for run in agent.runs.values():
            if run.breaker is before:
                run.breaker = after

    def _fresh_windows(self, agent: AgentState, breaker: Breaker) -> None:
        """A breaker that changed judges by what comes now, not by what tripped it."""
        if breaker.scope == agent.breaker.scope:
            agent.errors = type(agent.errors)(consecutive_max=None)
            for rate in agent.rates.values():
                rate.restart()
            return
        for tool in agent.tools.values():
            if tool.breaker is breaker:
                tool.errors, tool.latency = type(tool.errors)(), type(tool.latency)()

    # -- people ----------------------------------------------------------------------------------

    def _ordered(self, agent: AgentState, order: Ordered) -> None:
        """A person's signed word: mirrored into the owner's own record."""
        command = self._verified(order)
        if command is None or command.state not in ("forced_open", "half_open"):
            return
        # By the id that is signed: a copy under another name is no second order.
        if command.cmd_id in agent.orders:
            return
        agent.orders[command.cmd_id] = None
        if len(agent.orders) > ORDERS_KEPT:
            del agent.orders[next(iter(agent.orders))]
        stop = command.state == "forced_open"
        breaker = agent.breaker_of(command.scope, new=stop)
        if breaker is not None:
            self._move(agent, breaker, Forced(stop), command.reason)

    def _verified(self, order: Ordered) -> Command | None:
        try:
            command = control.decode(order.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        key = control.control_key(command.scope, "human")
        human = order.kid.startswith("human/") and command.author == "human"
        return command if human and self.verifier.verify(
            order.kid, key, order.payload, order.sig
        ) else None  # fmt: skip

    # -- acknowledgements ------------------------------------------------------------------------

    def _await(self, agent: AgentState, command: Command, trace_id: str) -> None:
        if command.state == "closed":
            return
        now = self.partition.now
        agent.awaited[command.cmd_id] = Awaited(
            command.cmd_id, command.scope, now, now + ACK_SECONDS, trace_id,
            command.reason.evidence[-1] if command.reason.evidence else "",
        )  # fmt: skip
        for cmd_id in [a.cmd_id for a in agent.awaited.values() if a.scope == command.scope][:-1]:
            del agent.awaited[cmd_id]  # overtaken by this one
        if len(agent.awaited) > AWAITING_MAX:
            del agent.awaited[next(iter(agent.awaited))]

    def _ack(self, agent: AgentState, ack: Ack) -> None:
        agent.heard = self.partition.now
        agent.awaited.pop(ack.cmd_id, None)
        line = Acknowledged(
            src=self._take(), tenant=ack.tenant, agent_id=ack.agent_id, cmd_id=ack.cmd_id,
            scope=ack.scope, term=ack.term, epoch=ack.epoch, state=ack.state,
            event_id=ack.event_id, applied_at=ack.emitted_at, at=self.partition.now,
        )  # fmt: skip
        self._out.append(Line(CONTROL_LOG, ack.scope, codec.ACKS, codec.encode(line)))

    # -- time ------------------------------------------------------------------------------------

    def _timer(self, agent: AgentState) -> None:
        now = self.partition.now
        agent.ledger.expire(now)
        self._unattended(agent)
        for breaker in list(agent.breakers()):
            if breaker.deadline <= now:
                self._move(agent, breaker, Tick(), None)
        for trace_id, run in agent.runs.items():
            if run.silence is not None and run.silence.overdue(now):
                run.silence.update(False, now)
                self._silent(agent, trace_id, run)
        for awaited in list(agent.awaited.values()):
            if awaited.deadline <= now:
                del agent.awaited[awaited.cmd_id]
                self._unanswered(agent, awaited)
        agent.arm()

    def _silent(self, agent: AgentState, trace_id: str, run: RunState) -> None:
        assert run.silence is not None
        evidence, entry = run.silence.evidence(), CATALOGUE["silence"]
        self._signal(
            agent, None, detector="silence", evidence_class=entry.evidence_class,
            severity=entry.severity, action=entry.action, sentence=sentences.silence(evidence),
            evidence=evidence, score=run.silence.score, threshold=run.silence.threshold,
            n=run.silence.n, trace_id=trace_id, first_event=run.first_event,
            last_event=run.last_event, incident=True,
        )  # fmt: skip

    def _unanswered(self, agent: AgentState, awaited: Awaited) -> None:
        """An agent that lives and does not obey is an alarm; one that is gone has nothing to stop."""
        if agent.heard <= awaited.since:
            return
        words = sentences.unacknowledged(awaited.scope, self.partition.now - awaited.since)
        self._signal(
            agent, None, detector="unacknowledged", evidence_class="rule", severity="critical",
            action="open", sentence=words, trace_id=awaited.trace_id, scope=awaited.scope,
            last_event=awaited.event_id, incident=True, evidence={"cmd_id": awaited.cmd_id},
        )  # fmt: skip

    def _stood_still(self, gap: float) -> None:
        """Record time jumped: the pipeline was away, not the agents. What they owe is due later."""
        moved = gap + GRACE_SECONDS
        for _, agent in self.partition.states():
            if agent.deadline == inf:
                continue
            for run in agent.runs.values():
                if run.silence is not None:
                    run.silence.shift(moved)
            for awaited in agent.awaited.values():
                awaited.deadline += moved
            agent.arm()

    # -- writing ---------------------------------------------------------------------------------

    def _take(self) -> Src:
        topic, number, offset, line, n = self._src
        self._src = (topic, number, offset, line, n + 1)
        return (topic, number, offset, line, n)

    def _signal(self, agent: AgentState, step: Step | None, incident: bool, **said: Any) -> None:
        src = self._take()
        if step is not None:
            events = _named(step)
            said = {
                "trace_id": step.trace_id, "step_id": step.step_id, "tool": step.tool,
                "first_event": events[0], "last_event": events[-1], **said,
            }  # fmt: skip
        signal = Signal(
            src=src, signal_id=_name("sig", src), tenant=agent.tenant,
            agent_id=agent.agent_id, at=round(self.partition.now, 3), **said,
        )  # fmt: skip
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self._out.append(Line(SIGNALS, key, codec.SIGNALS, codec.encode(signal)))
        if incident:
            owner = agent.file.owner
            summary = Summary(
                src=self._take(), signal=signal, owner=owner.name, routes=list(owner.routes)
            )
            self._out.append(Line(FLEET, "", codec.SUMMARIES, codec.encode(summary)))

    # -- snapshots -------------------------------------------------------------------------------

    def freeze(self) -> Snapshot:
        self.partition.own = msgspec.json.encode(list(self.standing.values()))
        return self.partition.freeze()

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        self.partition.restore(marker, cells)
        standing = msgspec.json.decode(marker.own, type=list[Command]) if marker.own else []
        self.standing = {command.scope: command for command in standing}


def _name(prefix: str, src: Src) -> str:
    """An id that a replay gives again: from where the record was computed."""
    return f"{prefix}-{src[1]}.{src[2]}.{src[3]}.{src[4]}"


def _named(step: Step) -> tuple[str, ...]:
    """Event ids of a step, first to last."""
    return tuple(event_id for event_id in (step.request_id, step.result_id) if event_id) or ("",)
