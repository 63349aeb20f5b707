"""First stage: events of one trace in, facts out: steps, runs, signs of life, acknowledgements. Pure.

Join decides nothing. It proves who sent a record, sets bad lines aside, drops what it has seen, and
writes an action with its reasoning and context when it is requested and when it completes.
"""

from math import ceil, inf

import msgspec

from detectors.exact_loop import remember, repetition
from ingest import codec
from ingest.records import Ack, Alive, Asked, Loop, Ref, Run, RunTotals, Src, Step
from ingest.topics import DLQ, EVENTS, INBOX, QUARANTINE
from stream.authenticity import authentic
from stream.dead_letters import letter
from stream.join import results, steps
from stream.join.accounting import checked, concluded, settled
from stream.join.handing import handed
from stream.join.manners import manner
from stream.join.origins import FOREIGN, IN_CHARGE
from stream.join.plans import Plan
from stream.join.probed import begun, mark
from stream.join.support import SPOKEN
from stream.join.trace_state import Action, Member, Producer, Trace
from stream.join.triggers import Order
from stream.outputs import Line
from stream.partition import Marker, Partition, Snapshot
from tracefuse import wire
from tracefuse.errors import DecodeError
from tracefuse.events import Event

# A trace lives so long after its last run ended: results and acknowledgements still come in.
LINGER_SECONDS = 60.0
IDLE_SECONDS = 86_400.0
# Idle deadlines are rounded up to whole hours, so that a timer moves once an hour and not per event.
IDLE_GRAIN = 3600.0
TRACES_MAX = 20_000  # per partition
ENDED_KEPT = 1024  # ended traces remembered per partition, to call a late event late
MICRO = 1_000_000
AMOUNT_MAX = 10**12  # no true amount, and sums of it stay numbers that JSON readers can hold
CLASSES_KEPT = 16  # classes of sensitive data that a rule may read; we know fewer
SKETCH_CHARACTERS = 16  # 64 bits in hex; what is longer is none

_dump = msgspec.msgpack.Encoder().encode
_load = msgspec.msgpack.Decoder(Trace).decode


class Join:
    """The facts of one partition of `agent.events.v1`.

    Parameters
    ----------
    number
        The partition.
    master
        The key from which the credentials of all agents derive.

    Notes
    -----
    About 15 µs an event, and 0.5 µs a fingerprint. A trace's state is near 5 kB, 20 kB at most but
    for its ids.
    """

    topic = EVENTS

    def __init__(self, number: int, master: bytes, traces_max: int = TRACES_MAX):
        self.number = number
        self.master = master
        self.partition: Partition[Trace] = Partition(_fresh, _dump, _load, traces_max)
        self.ended: dict[str, None] = {}
        self.late = 0
        self._kid = ""  # of the record's envelope: verdicts are proved with the same key
        self._out: list[Line] = []
        self._src: Src = (EVENTS, number, -1, -1, 0)

    # -- records ---------------------------------------------------------------------------------

    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> list[Line]:
        """Facts that follow from the next record. `timestamp` is the broker's, in seconds."""
        self.partition.begin(offset, timestamp)
        self._src = (EVENTS, self.number, offset, -1, 0)
        for key, trace in self.partition.due():
            self._end(key, trace)
        if wire.header(headers, wire.KIND) == codec.EVENTS:
            self._envelope(headers, value or b"")  # Kafka knows records without a value
        out, self._out = self._out, []
        return out

    def _envelope(self, headers: wire.Headers, value: bytes) -> None:
        kid = wire.header(headers, wire.KID).decode("utf-8", "replace")
        spooled = wire.header(headers, wire.SPOOLED) == b"1"
        if not authentic(self.master, kid, spooled, wire.header(headers, wire.MAC), value):
            self._dead(QUARANTINE, DecodeError("bad_mac", kid), value)
            return
        whose = tuple(kid.split("/")[:2])
        self._kid = kid
        for number, line in enumerate(codec.lines(value)):
            self._src = (EVENTS, self.number, self.partition.offset, number, 0)
            self._line(line, whose, spooled)

    def _line(self, line: bytes, whose: tuple[str, ...], spooled: bool) -> None:
        """One line; a bad one goes to the dead letters and costs its neighbours nothing."""
        try:
            event = codec.event(line)
        except DecodeError as error:
            if error.reason != "unknown_schema":  # the sink keeps those whole, for a later reader
                self._dead(DLQ, error, line)
            return
        if (event.tenant, event.agent_id) != whose:
            self._dead(QUARANTINE, DecodeError("foreign_claim"), line)
        elif wire.partition_of(key := wire.trace_key(event.tenant, event.trace_id)) != self.number:
            self._dead(DLQ, DecodeError("wrong_partition"), line)
        else:
            self._event(key, event, spooled)

    def _event(self, key: str, event: Event, spooled: bool) -> None:
        if key[-16:] in self.ended and self.partition.get(key) is None:
            self._too_late(event, spooled)
            return
        trace = self.partition.open(key)
        trace.tenant, trace.trace_id = event.tenant, event.trace_id
        if trace.first_time(event.event_id):
            trace.join(event.agent_id, event.parent_span_id)
            self._fact(trace, event, spooled)
        if trace.deadline == inf or trace.deadline > self.partition.now + LINGER_SECONDS:
            trace.deadline = ceil((self.partition.now + IDLE_SECONDS) / IDLE_GRAIN) * IDLE_GRAIN
        self.partition.close(key, trace)

    # -- one event -------------------------------------------------------------------------------

    def _fact(self, trace: Trace, event: Event, spooled: bool) -> None:
        name = event.name
        told = False
        if event.fingerprints or event.fingerprints_cut or "orders" in event.sketches:
            told = self._met(trace, event)
        if name in ("tool.request", "llm.request"):
            self._requested(trace, event, spooled)
        elif name in ("tool.result", "llm.response"):
            self._completed(trace, event, spooled, told)
        elif name in steps.ACTIONS:
            self._done_at_once(trace, event, spooled)
        elif name == "claim":
            trace.producer(steps.producer(event))
            trace.member(event.agent_id).conduct.claim(event)
        elif event.kind != "operational":
            self._note(trace, event)
        elif name in ("run.start", "run.end"):
            self._run(trace, event, spooled)
        elif name == "heartbeat":
            self._alive(trace, event, spooled)
        elif name == "control.applied":
            self._ack(event)

    def _met(self, trace: Trace, event: Event) -> bool:
        """Values that somebody in charge names, or that came in; whether one of these is new.

        An agent below another one is given its task by that one, who may have been misled.
        """
        if event.name in FOREIGN:
            return trace.origins.read(event)
        if event.name in IN_CHARGE and not trace.member(event.agent_id).depth:
            trace.origins.hear(event)
            if event.name == "input.user":
                trace.member(event.agent_id).order.hear(event)
            trace.support.more |= event.fingerprints_cut
        elif event.name not in SPOKEN:
            trace.support.know(event)
        return False

    def _requested(self, trace: Trace, event: Event, spooled: bool) -> None:
        found = self._known(trace, event)
        if found is not None and not found[1].step.request_id:  # its result came first
            holder, known = found
            near = holder.remove(known)
            steps.ask(known.step, event)
            known.seq = event.seq
            self._placed(trace, known, event)
            self._amend(holder, near)
            known.step.revision += 1
            self._write(known.step, echo=True)
            if trace.probe is not None and event.name == "tool.request":
                trace.probe.asked(event, new=False)
            return
        member = trace.member(event.agent_id)
        totals = member.totals
        totals.steps += 1
        totals.calls += 1
        if event.name == "tool.request":
            member.progress.asked(event)
            if trace.probe is not None:
                trace.probe.asked(event, new=found is None)
        step = steps.of(event, "request", spooled, self.partition.now)
        if event.name == "tool.request" and event.attempt <= 1:  # asked again it is the same call
            step.planned = member.plan.called(event.tool)
        if member.conduct.news and event.name == "tool.request":
            step.claims, step.lost = checked(trace, event.agent_id)
        step.manner = manner(event) if event.name == "tool.request" else None
        if member.order.heard and event.name == "tool.request":
            step.heard, step.used = member.order.tell(), member.order.used(event)
        if event.data_classes and event.name == "tool.request":
            step.carries = [name[:64] for name in event.data_classes[:CLASSES_KEPT]]
        if found is not None:  # a call id that is used again, as some frameworks do
            step.revision = found[1].step.revision + 1
        steps.ask(step, event)
        self._placed(trace, Action(event.seq, step), event)
        if event.name == "tool.request" and (event.fingerprints or event.fingerprints_cut):
            step.provenance = trace.origins.asked(event)
        if event.deadline_ms and event.name == "tool.request" and not spooled:
            step.held = Asked(
                event.attempt,
                event.deadline_ms,
                event.boot_id,
                self._kid,
                event.approval_id,
                event.tools_hash,
                member.depth,
                tuple(name[:64] for name in event.data_classes[:CLASSES_KEPT]),
            )
        self._write(step, totals)

    def _completed(self, trace: Trace, event: Event, spooled: bool, told: bool) -> None:
        member = trace.member(event.agent_id)
        found = self._known(trace, event)
        if found is None:
            step = steps.of(event, "complete", spooled, self.partition.now)
            step.revision = 1  # its request may have been forgotten, with revision 0
            self._placed(trace, Action(event.seq, step), event)
            member.totals.steps += 1
            member.totals.calls += event.status != "not_run"
            if trace.probe is not None and event.name == "tool.result":
                trace.probe.asked(event, new=True)
        else:
            step = found[1].step
            step.revision += 1
            member.totals.calls -= event.status == "not_run" and step.phase == "request"
        steps.answer(step, event)
        step.phase, step.spooled, step.at = "complete", spooled, self.partition.now
        if event.name == "tool.result":
            member.conduct.did(step, event.source)
        loop = self._count(member, step, event, told)
        if step.action == "tool" and step.status != "not_run":
            results.returned(step, event)
            results.hindered(step, event)
        self._write(step, member.totals, loop)

    def _count(self, member: Member, step: Step, event: Event, told: bool) -> Loop | None:
        """Add a finished call to the run's totals and to its repetition."""
        if step.status == "not_run":
            return None
        totals = member.totals
        totals.cost_micro += round(_credible(step.cost_usd) * MICRO)
        totals.input_tokens += round(_credible(step.input_tokens))
        totals.output_tokens += round(_credible(step.output_tokens))
        totals.errors += step.status == "error"
        if step.action != "tool" or not step.request_id:
            return None  # what was asked is not known: forgotten, with more calls at once than are kept
        remember(
            member.calls, f"{step.tool}|{step.args_hash}|{step.result_hash or step.error_type}"
        )
        step.stale = not member.progress.answered(event, told)
        return Loop(*repetition(member.calls, member.progress.since))

    def _done_at_once(self, trace: Trace, event: Event, spooled: bool) -> None:
        """A handoff or a memory access: one event says all."""
        totals = trace.member(event.agent_id).totals
        totals.steps += 1
        step = steps.of(event, "complete", spooled, self.partition.now)
        steps.ask(step, event)
        steps.answer(step, event)
        self._placed(trace, Action(event.seq, step), event)
        if event.name == "memory.write":
            step.provenance = trace.origins.stored(event)
        elif event.name == "handoff":
            remember(trace.handoffs, handed(event, step, trace.member(event.agent_id).calls))
            step.crew, step.agents = Loop(*repetition(trace.handoffs)), len(trace.members)
        self._write(step, totals)

    def _note(self, trace: Trace, event: Event) -> None:
        """Reasoning or context: it belongs to the next action, or amends one already written."""
        sketch = event.sketches.get("simhash", "")
        fits = isinstance(sketch, str) and len(sketch) <= SKETCH_CHARACTERS
        ref = Ref(event.event_id, event.name, sketch if fits else "", event.confidence)
        if event.name == "output":
            if trace.probe is not None:
                trace.probe.answered(event)
            member = trace.member(event.agent_id)
            called = member.conduct.acted
            member.answer = trace.support.answered(event, trace.origins, called)
        if event.name == "plan":
            trace.member(event.agent_id).plan.declare(event)
        if event.name == "state.after":
            trace.member(event.agent_id).progress.changed(event)
        producer = trace.producer(steps.producer(event))
        self._amend(producer, producer.note(event.seq, ref))

    def _run(self, trace: Trace, event: Event, spooled: bool) -> None:
        member = trace.member(event.agent_id)
        member.open = event.name == "run.start"
        if member.open:
            trace.deadline = inf
            trace.probe = trace.probe or begun(event)
            member.plan, member.order = Plan(), Order()  # those of its last run here are over
        elif not any(other.open for other in trace.members.values()):
            trace.deadline = self.partition.now + LINGER_SECONDS
        fact = Run(
            src=self._take(), tenant=event.tenant, agent_id=event.agent_id,
            trace_id=event.trace_id, phase="start" if member.open else "end",
            event_id=event.event_id, emitted_at=event.emitted_at, status=event.status,
            spooled=spooled, run=member.totals,
            shadow_of=str(event.attrs.get("shadow_of", ""))[:32],
            probe=trace.probe.name if trace.probe is not None else mark(event),
        )  # fmt: skip
        if not member.open:
            fact.answer, member.answer = member.answer, None
            fact.claims, fact.lost = concluded(trace, event)
        if trace.probe is not None and not member.open:
            fact.probed = trace.probe.ended(event, member.totals)
        self._emit(event.tenant, event.agent_id, codec.encode(fact))

    def _alive(self, trace: Trace, event: Event, spooled: bool) -> None:
        known = trace.members.get(event.agent_id)
        fact = Alive(
            src=self._take(), tenant=event.tenant, agent_id=event.agent_id,
            trace_id=event.trace_id, event_id=event.event_id, emitted_at=event.emitted_at,
            in_run=known is not None and known.open, spooled=spooled,
        )  # fmt: skip
        self._emit(event.tenant, event.agent_id, codec.encode(fact))

    def _ack(self, event: Event) -> None:
        told = event.attrs
        term, epoch = told.get("term"), told.get("epoch")
        fact = Ack(
            src=self._take(), tenant=event.tenant, agent_id=event.agent_id,
            trace_id=event.trace_id, event_id=event.event_id, emitted_at=event.emitted_at,
            cmd_id=str(told.get("cmd_id", ""))[:256], scope=str(told.get("scope", ""))[:512],
            term=term if isinstance(term, int) else 0, epoch=epoch if isinstance(epoch, int) else 0,
            state=str(told.get("state", ""))[:32],
        )  # fmt: skip
        self._emit(event.tenant, event.agent_id, codec.encode(fact))

    # -- places and neighbours -------------------------------------------------------------------

    def _known(self, trace: Trace, event: Event) -> tuple[Producer, Action] | None:
        """The action of this call and who holds it, whichever of its two events came first."""
        step_id = steps.id_of(event)
        return trace.find(f"{event.agent_id}/{step_id}", step_id)

    def _placed(self, trace: Trace, action: Action, event: Event) -> None:
        """Put an action in its place; neighbours that lose or gain notes are written again."""
        name = steps.producer(event)
        producer = trace.producer(name)
        # Of a probe's trace also what other agents do: their processes may not know.
        action.step.probe = trace.probe.name if trace.probe is not None else mark(event)
        trace.place(f"{event.agent_id}/{action.step.step_id}", name, action.seq)
        near = producer.insert(action)
        producer.attach(action)
        self._amend(producer, [other for other in near if other is not action])

    def _amend(self, producer: Producer, actions: list[Action]) -> None:
        for action in actions:
            if producer.attach(action):
                action.step.revision += 1
                self._write(action.step, echo=True)

    # -- the end ---------------------------------------------------------------------------------

    def _end(self, key: str, trace: Trace) -> None:
        for agent_id, (event_id, emitted_at) in trace.unsettled.items():
            claims, lost = settled(trace, agent_id)
            fact = Run(
                src=self._take(), tenant=trace.tenant, agent_id=agent_id, trace_id=trace.trace_id,
                phase="after", event_id=event_id, emitted_at=emitted_at, claims=claims, lost=lost,
            )  # fmt: skip
            self._emit(trace.tenant, agent_id, codec.encode(fact))
        self.partition.drop(key)
        # The second half of a trace id: in the first one many tracers put zeros or the time.
        self.ended[key[-16:]] = None
        if len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]

    def _too_late(self, event: Event, spooled: bool) -> None:
        """After the trace's life: told for the record, counted, and nothing is decided from it."""
        self.late += 1
        if event.name not in steps.ACTIONS:
            return
        result = event.name in ("tool.result", "llm.response")
        step = steps.of(event, "complete" if result else "request", spooled, self.partition.now)
        step.late = True
        (steps.answer if result else steps.ask)(step, event)
        self._write(step, echo=True)

    # -- writing ---------------------------------------------------------------------------------

    def _take(self) -> Src:
        """The next source mark of this line."""
        topic, number, offset, line, n = self._src
        self._src = (topic, number, offset, line, n + 1)
        return (topic, number, offset, line, n)

    def _write(
        self,
        step: Step,
        totals: RunTotals | None = None,
        loop: Loop | None = None,
        echo: bool = False,
    ) -> None:
        step.src, step.run, step.loop, step.echo = self._take(), totals, loop, echo
        self._emit(step.tenant, step.agent_id, codec.encode(step))
        steps.forget(step)

    def _emit(self, tenant: str, agent_id: str, value: bytes) -> None:
        self._out.append(Line(INBOX, wire.agent_key(tenant, agent_id), codec.INBOX, value))

    def _dead(self, topic: str, error: DecodeError, raw: bytes) -> None:
        dead = letter(self._src, error, raw)
        self._out.append(Line(topic, f"{EVENTS}/{self.number}", codec.DEAD, dead))

    # -- snapshots -------------------------------------------------------------------------------

    def freeze(self) -> Snapshot:
        self.partition.own = msgspec.json.encode(list(self.ended))
        return self.partition.freeze()

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        self.partition.restore(marker, cells)
        self.ended = dict.fromkeys(msgspec.json.decode(marker.own, type=list[str]))


def _fresh(key: str) -> Trace:
    return Trace()


def _credible(amount: float) -> float:
    """What an agent claims; a negative or absurd amount counts as nothing, as in the budgets."""
    return amount if 0 <= amount <= AMOUNT_MAX else 0
