"""Second stage: facts of one agent in, signals and commands out. Pure.

The agent's owner in the sense of the law: its limits and breakers change here and nowhere else, by the
next record of its partition. What the detectors find is in `findings`, what stops an agent in
`commanding`, what waits for a person in `asking`, what people say afterwards in `reviewing` and `judging`.
"""

from math import inf

import msgspec

from detectors import CATALOGUE, Silence
from detectors.input_lag import InputLag
from ingest import codec
from ingest.records import (
    Ack,
    AgentFact,
    Alive,
    Asked,
    Braked,
    Decided,
    Derived,
    IncidentReviewed,
    Ordered,
    Prior,
    Registered,
    Reviewed,
    Run,
    Step,
)
from ingest.topics import CONTROL_LOG, DLQ, INBOX
from stream import sentences
from stream.agent.agent_cells import Cells
from stream.agent.agent_state import AgentState, RunState, new_agent
from stream.agent.saying import Saying
from stream.dead_letters import letter
from stream.detect import inheriting, registering
from stream.detect.judging import Judging
from stream.detect.reviewing import Reviewing
from stream.detect.roll import Count, Roll
from stream.finding import (
    answering,
    canary,
    claiming,
    drifting,
    findings,
    hindering,
    lagging,
    planning,
    preceding,
    probing,
    progressing,
    sequences,
    spending,
    triggering,
    unsure,
)
from stream.holding import holding
from stream.holding.asking import Asking
from stream.outputs import Answer, Line, Output
from stream.partition import Marker, Partition, Snapshot
from stream.stopping.brake import Brakes
from stream.stopping.commanding import Commanding
from stream.stopping.withholding import Withholding
from tracefuse import control, wire
from tracefuse.control import Command
from tracefuse.errors import DecodeError
from tracefuse.signing import CommandVerifier

AGENTS_MAX = 10_000  # per partition
# After an outage of ours agents first have to find the broker again.
GRACE_SECONDS = 10.0


class _Own(msgspec.Struct):
    """What a checkpoint remembers besides the agents."""

    standing: list[Command] = []
    roll: Count = msgspec.field(default_factory=Count)
    brakes: Brakes = msgspec.field(default_factory=Brakes)
    lag: InputLag = msgspec.field(default_factory=InputLag)


class Detect:
    """Decisions for the agents of one partition of `agent.inbox.v1`.

    Parameters
    ----------
    number
        The partition.
    verifier
        Checks what people ordered.
    build
        What decides, 16 hex digits: a checkpoint of another is brought into shape.
    """

    topic = INBOX

    def __init__(
        self,
        number: int,
        verifier: CommandVerifier,
        agents_max: int = AGENTS_MAX,
        build: str = "0" * 16,
    ):
        cells = Cells(build)
        self.number = number
        self.verifier = verifier
        self.partition: Partition[AgentState] = Partition(
            new_agent, cells.dump, cells.load, agents_max, gone=lambda agent: self._roll.gone(agent)
        )
        self._roll = Roll()
        self._saying = Saying(number)
        self._withholding = Withholding(self._saying)
        self._commanding = Commanding(self._saying, verifier, self._withholding)
        self._asking = Asking(self._saying, verifier)
        self._reviewing = Reviewing(self._saying, verifier)
        self._judging = Judging(self._saying, verifier)

    @property
    def standing(self) -> dict[str, Command]:
        """What this partition's scopes are told while they are not closed, for whoever owns it next."""
        return self._commanding.standing

    # -- records ---------------------------------------------------------------------------------

    def apply(
        self, offset: int, timestamp: float, headers: wire.Headers, value: bytes
    ) -> list[Output]:
        """What follows from the next record. `timestamp` is the broker's, in seconds."""
        partition = self.partition
        partition.begin(offset, timestamp)
        now = partition.now
        self._saying.begin(offset, now)
        if partition.gap:
            self._stood_still(partition.gap)
        for _, agent in partition.due():
            self._timer(agent)
        if wire.header(headers, wire.KIND) == codec.INBOX:
            for number, line in enumerate(codec.lines(value)):
                self._saying.begin(offset, now, number)
                self._line(line)
        elif wire.header(headers, wire.KIND) == codec.TICK:
            self._roll.tell(self._saying)
        return self._saying.collected()

    def _line(self, line: bytes) -> None:
        try:
            fact = codec.fact(line)
        except DecodeError as error:
            dead = letter(self._saying.src, error, line)
            self._saying.put(Line(DLQ, f"{INBOX}/{self.number}", codec.DEAD, dead))
            return
        if isinstance(fact, Derived) and not self.partition.accepts(fact.src):
            return  # a replay of what was applied
        if isinstance(fact, Braked):
            self._withholding.brakes.take(fact, self.partition.now)
            return
        key = wire.agent_key(fact.tenant, fact.agent_id)
        agent = self.partition.open(key)
        self._fact(agent, fact)
        self._roll.heard(agent, self.partition.now)
        agent.arm(fact.trace_id if isinstance(fact, Step | Run | Alive) else "")
        self.partition.close(key, agent)

    def _fact(self, agent: AgentState, fact: AgentFact) -> None:
        match fact:
            case Step():
                self._step(agent, fact)
            case Alive():
                self._alive(agent, fact)
            case Run():
                self._run(agent, fact)
            case Ack():
                agent.heard = self.partition.now
                self._commanding.acknowledged(agent, fact)
            case Registered():
                self._register(agent, fact)
            case Ordered():
                self._commanding.ordered(agent, fact)
            case Decided():
                self._asking.decided(agent, fact)
            case Reviewed():
                self._reviewing.reviewed(agent, fact)
            case IncidentReviewed():
                self._judging.judged(agent, fact)
            case Prior():
                inheriting.take(agent, fact)

    def _register(self, agent: AgentState, fact: Registered) -> None:
        before = agent.file.digest if agent.registered else ""
        refused = registering.take(agent, fact, self.verifier)
        if refused is not None:
            self._saying.signal(agent, None, incident=True, **refused)
        elif agent.file.digest != before:
            line = registering.log_line(agent, fact, self._saying.take(), self.partition.now)
            scope = control.agent_scope(agent.tenant, agent.agent_id)
            self._saying.put(Line(CONTROL_LOG, scope, codec.FILES, codec.encode(line)))

    # -- steps and runs --------------------------------------------------------------------------

    def _step(self, agent: AgentState, step: Step) -> None:
        if step.echo:
            return
        if not step.spooled:
            agent.heard = self.partition.now
            agent.at = max(agent.at, step.at)
            lagging.heard(agent, step, self._saying)
            agent.alarms.since = agent.alarms.since or agent.at
        run = agent.run(step.trace_id)
        run.first_event = run.first_event or step.request_id or step.result_id
        run.began = run.began or agent.at
        run.bundle = run.bundle or step.bundle
        run.last_event = step.result_id or step.request_id
        if run.silence is not None and not step.spooled:
            run.silence.heard(self.partition.now)
        self._unregistered(agent, step)
        if step.phase == "request":
            found = findings.on_request(agent, step)
            if not step.spooled:  # it began before whatever stands now
                self._commanding.called(agent, step)
        else:
            found = findings.on_complete(agent, step)
            self._commanding.called(agent, step)
            holding.ended(agent, step, max(agent.at, step.at))
        for finding in found:
            self._commanding.found(agent, step, finding)
        if step.phase == "complete" and step.tool:
            inheriting.called(agent, step, self._saying)
            if step.hindered:
                hindering.failed(agent, step, self._saying)
        if step.held is not None and step.phase == "request":
            self._hold(agent, step, step.held)

    def _hold(self, agent: AgentState, step: Step, asked: Asked) -> None:
        """Answer a call that waits; a refusal is told with what every gate said."""
        verdict, ruling = holding.answer(agent, step, self.partition.now, self._saying.take())
        self._saying.put(Answer(verdict, asked.kid))
        if ruling is not None and ruling.word == "allow" and not step.probe:
            self._reviewing.allowed(agent, step)
        if ruling is None or ruling.word == "allow":
            return
        asks = ruling.word == "needs_approval"
        if asks:
            news = verdict.approval_id not in agent.pending
            if news:
                self._asking.want(agent, step, ruling, verdict.approval_id)
            self._asking.carry(agent, step, verdict.approval_id)
            if not news:
                return  # it waits already, and people know
        self._saying.signal(
            agent, step, incident=asks, detector="policy", evidence_class="rule",
            severity="medium" if asks else "low", action="step-up" if asks else "block-call",
            sentence=sentences.verdict(step.tool, ruling.word, ruling.reason),
            evidence={
                "gate": ruling.gate, "word": ruling.word, "passed": list(ruling.passed),
                "rule": ruling.rule, "approval_id": verdict.approval_id, "observed": ruling.gate,
            },
        )  # fmt: skip

    def _run(self, agent: AgentState, fact: Run) -> None:
        if fact.phase != "start":
            open_run = agent.runs.get(fact.trace_id)
            for finding in claiming.run_ended(agent, open_run, fact):
                self._commanding.found(agent, fact, finding)
            for finding in answering.run_ended(agent, open_run, fact):
                self._commanding.found(agent, fact, finding)
        if fact.phase == "after":
            return  # no sign of life: the agent may be gone by now
        if not fact.spooled:
            agent.heard = self.partition.now
        if fact.phase == "start":
            run = agent.run(fact.trace_id)
            run.first_event = run.first_event or fact.event_id
            run.shadow_of = fact.shadow_of
            if not fact.spooled:
                self._listen(agent, run)
            return
        ended = agent.end(fact.trace_id)
        if ended is None:
            return
        if fact.probe:
            for finding in probing.ended(agent, ended, fact):
                self._commanding.found(agent, fact, finding)
            self._commanding.run_ended(agent, ended)
            return
        progressing.run_ended(agent, ended, fact)
        planning.run_ended(agent, ended, fact)
        spending.run_ended(agent, ended, fact)
        preceding.run_ended(agent, ended, fact)
        unsure.run_ended(agent, ended, fact)
        triggering.run_ended(agent, ended, fact)
        if not fact.spooled:
            for finding in canary.run_ended(agent, ended, fact):
                self._commanding.found(agent, fact, finding)
            for finding in drifting.run_ended(agent, ended, fact):
                self._commanding.found(agent, fact, finding)
            for finding in sequences.run_ended(agent, ended, fact):
                self._commanding.found(agent, fact, finding)
        self._commanding.run_ended(agent, ended)

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
        self._saying.signal(
            agent, step, detector="registry", evidence_class="rule", severity="medium",
            action="annotate", sentence=sentences.unregistered(), incident=True,
            evidence={"observed": "no file"},
        )  # fmt: skip

    # -- time ------------------------------------------------------------------------------------

    def _timer(self, agent: AgentState) -> None:
        now = self.partition.now
        self._roll.passed(agent, now)
        agent.ledger.expire(now)
        self._asking.passed(agent)
        self._commanding.passed(agent)
        for trace_id, run in agent.runs.items():
            if run.silence is not None and run.silence.overdue(now):
                run.silence.update(False, now)
                self._silent(agent, trace_id, run)
        agent.arm()

    def _silent(self, agent: AgentState, trace_id: str, run: RunState) -> None:
        assert run.silence is not None
        evidence, entry = run.silence.evidence(), CATALOGUE["silence"]
        self._saying.signal(
            agent, None, detector="silence", evidence_class=entry.evidence_class,
            severity=entry.severity, action=entry.action, sentence=sentences.silence(evidence),
            evidence=evidence, score=run.silence.score, threshold=run.silence.threshold,
            n=run.silence.n, trace_id=trace_id, first_event=run.first_event,
            last_event=run.last_event, incident=True,
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
            if agent.active_until:
                agent.active_until += moved
            agent.arm()

    # -- snapshots -------------------------------------------------------------------------------

    def freeze(self) -> Snapshot:
        own = _Own(
            list(self.standing.values()),
            self._roll.count,
            self._withholding.brakes,
            self._saying.lag,
        )
        self.partition.own = msgspec.json.encode(own)
        return self.partition.freeze()

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        self.partition.restore(marker, cells)
        own = msgspec.json.decode(marker.own, type=_Own) if marker.own else _Own()
        self._commanding.standing = {command.scope: command for command in own.standing}
        self._withholding.brakes, self._roll.count = own.brakes, own.roll
        self._saying.lag = own.lag
