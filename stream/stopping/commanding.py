"""What stops an agent: its breakers take what was found and what people say, and commands follow. Pure.

finding, person's word, time ──► Breaker ──► Command ──► awaited ──► acknowledged, or an alarm
"""

from typing import Any, TypeVar

import msgspec

from detectors import CATALOGUE
from ingest import codec
from ingest.records import Ack, Acknowledged, Ordered, Run, Step
from ingest.topics import CONTROL_LOG
from stream import sentences
from stream.agent.agent_state import (
    AWAITING_MAX,
    ORDERS_KEPT,
    AgentState,
    Awaited,
    BundleState,
    RunState,
    ToolState,
)
from stream.agent.breaker import (
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
from stream.agent.breaker import step as advance
from stream.agent.finding import Finding
from stream.agent.saying import Saying, emitted_at, name, named
from stream.finding import changed, doubting
from stream.finding.attribution import weighs
from stream.finding.budgeting import Budgeting
from stream.outputs import Forget, Line, Order
from stream.stopping.brake import obeys
from stream.stopping.wide import expired
from stream.stopping.withholding import Withholding
from tracefuse import control
from tracefuse.control import Command, Reason
from tracefuse.signing import CommandVerifier

T = TypeVar("T")

# The alarm must be out within 5 s of the command: a tick of 0.5 s and the way of the alarm fit behind.
ACK_SECONDS = 4.0
_LOGGED = {"action": "log", "severity": "info"}  # of a detector that is ill: it suggests nothing
# Scopes that a new owner says again; the control topic itself keeps them all.
STANDING_MAX = 1000


class Commanding:
    """Breakers of the agents of one partition.

    Parameters
    ----------
    saying
        Takes what follows.
    verifier
        Checks what people ordered.
    withholding
        Keeps stops from coming.
    """

    def __init__(self, saying: Saying, verifier: CommandVerifier, withholding: Withholding) -> None:
        # What this partition's scopes are told while they are not closed, for whoever owns it next.
        self.standing: dict[str, Command] = {}
        self._saying, self._verifier, self._withholding = saying, verifier, withholding
        self._budgeting = Budgeting(saying)

    # -- what happened -----------------------------------------------------------------------------

    def found(self, agent: AgentState, step: Step | Run, finding: Finding) -> None:
        """Tell what a detector found, and stop what it asks to stop."""
        entry, order = CATALOGUE[finding.detector], None
        finding = changed.named(agent, step, finding)
        word = self._budgeting.weigh(agent, step, finding)
        run = agent.runs.get(step.trace_id)
        # What the run's own alarm leaves unsaid still waits.
        asks = word == "said" or (
            run is not None and run.signals.get(finding.detector) == "step-up"
        )
        if run is not None and asks and doubting.concerns(finding):
            doubting.raised(run, finding.detector)
        if word == "muted":
            return
        said: dict[str, Any] = {
            "detector": finding.detector, "evidence_class": entry.evidence_class,
            "severity": finding.severity, "action": finding.action, "sentence": finding.sentence,
            "evidence": finding.evidence, "score": finding.evidence.get("score", 0.0),
            "threshold": finding.evidence["threshold"], "n": finding.evidence.get("n", 0),
            "status": finding.evidence.get("status", "live"),
        }  # fmt: skip
        if word == "logged":
            self._saying.signal(agent, step, incident=False, **said | _LOGGED)
            return
        if run is not None and isinstance(step, Step) and weighs(finding.severity):
            run.suspect = run.suspect or (
                round(self._saying.now, 3), step.step_id, finding.detector,
            )  # fmt: skip
        if run is not None and run.signals.get(finding.detector) != "step-up":
            run.signals[finding.detector] = (
                finding.action
            )  # a later, weaker word takes nothing back
        if finding.event is not None:
            breaker = _target(agent, step, finding)
            if self._withholding.takes(agent, step, breaker, finding, said):
                return
            reason = Reason(
                rule=finding.detector, text=finding.sentence,
                evidence=named(step), last_emitted_at=emitted_at(step),
            )  # fmt: skip
            order = self._advanced(agent, breaker, finding.event, reason, finding.action)
            if order is None:
                return  # it stands open already
            if breaker.scope == agent.breaker.scope:
                agent.soft = obeys(finding.detector, finding.severity, breaker.scope)
            said |= {"scope": breaker.scope, "cmd_id": order.cmd_id}
        measured = finding.detector in agent.file.metrics_only
        incident = order is not None or (finding.pages and not measured)
        self._saying.signal(agent, step, incident=incident, **said)
        if order is not None:
            self._order(agent, order, step.trace_id)

    def called(self, agent: AgentState, step: Step) -> None:
        """Probes of half-open breakers: what the gate counts, calls of tools and of models."""
        if step.action not in ("tool", "llm"):
            return
        run, tool = agent.runs.get(step.trace_id), agent.tools.get(step.tool)
        holders: tuple[AgentState | RunState | ToolState | BundleState | None, ...]
        holders = (agent, run, tool, agent.bundles.get(step.bundle))
        for holder in holders:
            if holder is not None and holder.breaker.state is State.HALF_OPEN:
                self._move(agent, holder.breaker, _probe(step), None)

    def run_ended(self, agent: AgentState, ended: RunState) -> None:
        """There is nothing left to stop."""
        scope = ended.breaker.scope
        if not ended.breaker.epoch:
            return
        for cmd_id in [a.cmd_id for a in agent.awaited.values() if a.scope == scope]:
            del agent.awaited[cmd_id]
        self.standing.pop(scope, None)
        self._saying.put(Forget(control.control_key(scope, "auto")))

    def passed(self, agent: AgentState) -> None:
        """Time passes: breakers whose wait is over, commands that nobody acknowledged."""
        now = self._saying.now
        for breaker in list(agent.breakers()):
            if breaker.deadline <= now:
                self._move(agent, breaker, Tick(), None)
        for awaited in list(agent.awaited.values()):
            if awaited.deadline <= now:
                del agent.awaited[awaited.cmd_id]
                self._unanswered(agent, awaited)

    # -- people --------------------------------------------------------------------------------------

    def ordered(self, agent: AgentState, order: Ordered) -> None:
        """A person's signed word: mirrored into the owner's own record."""
        command = self._verified(order)
        if command is None or command.state not in ("forced_open", "half_open"):
            return
        stop = command.state == "forced_open"
        # By the id that is signed: a copy under another name is no second order. Nor does an old release
        # end a later stop, however it came to be late.
        if command.cmd_id in agent.orders or command.epoch <= agent.ordered.get(command.scope, -1):
            return
        if not stop and expired(command, self._saying.now):
            return
        _remember(agent.orders, command.cmd_id, None)
        _remember(agent.ordered, command.scope, command.epoch)
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
        return command if human and self._verifier.verify(
            order.kid, key, order.payload, order.sig
        ) else None  # fmt: skip

    # -- breakers and commands ------------------------------------------------------------------------

    def _move(
        self, agent: AgentState, breaker: Breaker, event: Event, reason: Reason | None
    ) -> None:
        """Let an event act on a breaker, and command what follows."""
        order = self._advanced(agent, breaker, event, reason, "")
        if order is None:
            return
        self._order(agent, order, "")
        if agent.soft and order.state == "open" and order.scope == agent.breaker.scope:
            self._saying.reopened(agent)

    def _advanced(
        self, agent: AgentState, breaker: Breaker, event: Event, reason: Reason | None, action: str
    ) -> Command | None:
        after = advance(breaker, event, self._saying.now, self._saying.offset)
        if after is breaker:
            return None
        _replace(agent, breaker, after)
        if after.epoch == breaker.epoch:
            return None
        if after.state in (State.OPEN, State.CLOSED):
            _fresh_windows(agent, after)
        return self._command(after, reason or Reason(rule=f"breaker.{after.state.value}"), action)

    def _order(self, agent: AgentState, command: Command, trace_id: str) -> None:
        """Give a command, and wait for its acknowledgement."""
        self._saying.put(Order(command))
        self.standing.pop(command.scope, None)
        if command.state != "closed":
            self.standing[command.scope] = command
            if len(self.standing) > STANDING_MAX:
                del self.standing[next(iter(self.standing))]
        self._await(agent, command, trace_id)

    def _command(self, breaker: Breaker, reason: Reason, action: str) -> Command:
        state, src = breaker.state, self._saying.take()
        return Command(
            cmd_id=name("cmd", src), scope=breaker.scope,
            author="auto", action=action or ("open" if breaker.stopped else "log"),
            state=state.value, epoch=breaker.epoch, reason=reason, src=src,
            probes=PROBES if state is State.HALF_OPEN else 0,
            interval_ms=THROTTLE_MS if state is State.THROTTLED else 0,
        )  # fmt: skip

    # -- acknowledgements -----------------------------------------------------------------------------

    def _await(self, agent: AgentState, command: Command, trace_id: str) -> None:
        if command.state == "closed":
            return
        now = self._saying.now
        agent.awaited[command.cmd_id] = Awaited(
            command.cmd_id, command.scope, now, now + ACK_SECONDS, trace_id,
            command.reason.evidence[-1] if command.reason.evidence else "",
        )  # fmt: skip
        for cmd_id in [a.cmd_id for a in agent.awaited.values() if a.scope == command.scope][:-1]:
            del agent.awaited[cmd_id]  # overtaken by this one
        if len(agent.awaited) > AWAITING_MAX:
            del agent.awaited[next(iter(agent.awaited))]

    def acknowledged(self, agent: AgentState, ack: Ack) -> None:
        agent.awaited.pop(ack.cmd_id, None)
        line = Acknowledged(
            src=self._saying.take(), tenant=ack.tenant, agent_id=ack.agent_id, cmd_id=ack.cmd_id,
            scope=ack.scope, term=ack.term, epoch=ack.epoch, state=ack.state,
            event_id=ack.event_id, applied_at=ack.emitted_at, at=self._saying.now,
        )  # fmt: skip
        self._saying.put(Line(CONTROL_LOG, ack.scope, codec.ACKS, codec.encode(line)))

    def _unanswered(self, agent: AgentState, awaited: Awaited) -> None:
        """An agent that lives and does not obey is an alarm; one that is gone has nothing to stop."""
        if agent.heard <= awaited.since:
            return
        waited = round(self._saying.now - awaited.since, 3)
        words = sentences.unacknowledged(awaited.scope, waited)
        self._saying.signal(
            agent, None, detector="unacknowledged", evidence_class="rule", severity="critical",
            action="open", sentence=words, trace_id=awaited.trace_id, scope=awaited.scope,
            first_event=awaited.event_id, last_event=awaited.event_id, incident=True,
            evidence={"cmd_id": awaited.cmd_id, "observed": waited},
        )  # fmt: skip


def _remember(known: dict[str, T], name: str, value: T) -> None:
    known.pop(name, None)
    known[name] = value  # the newest last
    if len(known) > ORDERS_KEPT:
        del known[next(iter(known))]


def _probe(step: Step) -> Event:
    """What a call means to a breaker that is being tried."""
    if step.phase == "request":
        return Called(step.step_id)
    if step.status == "not_run":
        return Withdrawn(step.step_id)
    return Ended(step.step_id, step.status == "error")


def _target(agent: AgentState, step: Step | Run, finding: Finding) -> Breaker:
    if finding.target == "bundle":
        return agent.bundle(finding.bundle).breaker
    if finding.target == "run":
        return agent.run(step.trace_id).breaker
    if finding.target == "tool" and isinstance(step, Step):
        return agent.tool(step.tool).breaker
    return agent.breaker


def _replace(agent: AgentState, before: Breaker, after: Breaker) -> None:
    if agent.breaker is before:
        agent.breaker = after
        return
    for tool in agent.tools.values():
        if tool.breaker is before:
            tool.breaker = after
    for bundle in agent.bundles.values():
        if bundle.breaker is before:
            bundle.breaker = after
    for run in agent.runs.values():
        if run.breaker is before:
            run.breaker = after


def _fresh_windows(agent: AgentState, breaker: Breaker) -> None:
    """A breaker that changed judges by what comes now, not by what tripped it."""
    if breaker.scope == agent.breaker.scope:
        agent.errors = type(agent.errors)(consecutive_max=None)
        for rate in agent.rates.values():
            rate.restart()
        return
    for tool in agent.tools.values():
        if tool.breaker is breaker:
            tool.errors, tool.latency = type(tool.errors)(), type(tool.latency)()
    for bundle in agent.bundles.values():
        if bundle.breaker is breaker:
            bundle.errors = type(bundle.errors)(consecutive_max=None)
            bundle.calls, bundle.runs = type(bundle.calls)(), type(bundle.runs)()
            bundle.mix, bundle.pairs = type(bundle.mix)(), type(bundle.pairs)()
