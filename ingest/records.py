"""Every record that the pipeline derives: facts from join, findings from detect, incidents from correlate.

All carry `src`: (topic, partition, offset, line, number) of the input they were computed from. Consumers
keep the highest one per source and drop the rest, so a replay after a crash changes nothing.
"""

from typing import Any, Literal

import msgspec

Src = tuple[str, int, int, int, int]
NO_SRC: Src = ("", -1, -1, -1, -1)

EvidenceClass = Literal["rule", "statistical", "version"]


class Ref(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A cognitive or contextual event that belongs to a step: id, name, 64-bit sketch (hex)."""

    event_id: str
    name: str
    sketch: str = ""


class RunTotals(msgspec.Struct, gc=False, omit_defaults=True):
    """What one agent has done in one run so far, in order of arrival. Money in micro-USD."""

    steps: int = 0
    calls: int = 0
    errors: int = 0
    cost_micro: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Loop(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """Repetition at the end of a run: cycle length, repeats of it, count of the newest key."""

    period: int = 0
    repeats: int = 0
    count: int = 0


class Asked(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """How a held call asks: which attempt, how long it waits (ms), which process, proved by which key."""

    attempt: int
    deadline_ms: int
    reply_to: str
    kid: str
    approval_id: str = ""
    descriptor: str = ""  # SHA-256 of what the tool says of itself
    depth: int = 0  # agents above this one in the trace
    data_classes: tuple[str, ...] = ()  # sensitive data found in the arguments


Origin = Literal["named", "listed", "ordered", "unknown"]


class Value(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A telling value of an argument that nobody in charge named: whence, class, path, span.

    `listed` stands in a result, `ordered` in a passage of one that gives orders, `unknown` nowhere.
    """

    origin: Origin
    klass: str
    path: str = ""
    start: int = 0
    end: int = 0


class Kept(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An address that went into memory or came out of it, named by nobody in charge: keyed hash, whence."""

    hash: str
    klass: str
    origin: Origin
    path: str = ""


class Provenance(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """Where the values of a call's arguments come from, as far as the trace knew when it was requested."""

    named: int = 0  # values that the user or the system said
    values: list[Value] = []  # the others, the first of each class and origin
    orders: bool = False  # some result of the trace gave orders about values
    source: str = ""  # event id of the latest such result
    cut: bool = False  # there were more values than were sent
    memory: list[
        Kept
    ] = []  # of a call, what memory brought; of a write to memory, what results brought


class Step(msgspec.Struct, tag="step", gc=False, kw_only=True, omit_defaults=True):
    """One operational action with the reasoning and context that it was decided in.

    Emitted when the action is requested and when it completes. An event that arrives later emits it
    again with ``revision`` + 1; the highest revision counts. `run` and `loop` tell what was known when
    this record was written (decisions follow the order of arrival); all else is equal at the end
    under any order of arrival.
    """

    src: Src = NO_SRC
    step_id: str
    phase: Literal["request", "complete"]
    revision: int = 0
    tenant: str
    agent_id: str
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    call_id: str = ""
    environment: str = "dev"
    bundle: str = ""
    user_id: str = ""
    session_id: str = ""
    task_type: str = ""
    action: str  # llm, tool, handoff, memory.read, memory.write
    tool: str = ""
    model: str = ""
    status: str = ""
    error_type: str = ""
    duration_us: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    confidence: float | None = None
    args_hash: str = ""
    result_hash: str = ""
    decision_args: dict[str, Any] = {}
    verdict_seen: str = ""
    reasoning: list[Ref] = []
    context: list[Ref] = []
    state_before: str = ""
    state_after: str = ""
    request_id: str = ""  # event ids
    result_id: str = ""
    requested_at: int = 0  # µs, claims of the agent
    completed_at: int = 0
    at: float = 0.0  # s, broker time of the event behind this record: rates count by it
    spooled: bool = False
    late: bool = False  # came after the life of its trace
    echo: bool = False  # written for the record only (a revision); decisions ignore it
    run: RunTotals | None = None
    loop: Loop | None = None
    crew: Loop | None = None  # of a handoff: repetition of it among those of the trace
    agents: int = 0  # with `crew`: agents of the trace so far
    stale: bool = False  # with `loop`: the call brought nothing that the run had not seen
    held: Asked | None = None  # of a request that waits for its verdict
    provenance: Provenance | None = None  # of a request whose arguments hold telling values


class Run(msgspec.Struct, tag="run", gc=False, kw_only=True, omit_defaults=True):
    """An agent began or ended its part of a trace."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    phase: Literal["start", "end"]
    event_id: str
    emitted_at: int
    status: str = ""
    spooled: bool = False
    run: RunTotals | None = None
    shadow_of: str = ""  # trace id of the run that a shadow repeats


class Alive(msgspec.Struct, tag="alive", gc=False, kw_only=True, omit_defaults=True):
    """A heartbeat: the agent's process lives, and which run it is in (empty: none)."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    event_id: str
    emitted_at: int
    in_run: bool = True
    spooled: bool = False


class Ack(msgspec.Struct, tag="ack", gc=False, kw_only=True, omit_defaults=True):
    """An agent obeyed a command."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    event_id: str
    emitted_at: int  # µs, the moment of the gate's change of state
    cmd_id: str
    scope: str
    term: int = 0
    epoch: int = 0
    state: str = ""


class Registered(msgspec.Struct, tag="registered", gc=False, kw_only=True, omit_defaults=True):
    """A version of an agent's file comes into force. `payload` is the signed file as JSON, base64."""

    record_id: str
    tenant: str
    agent_id: str
    kid: str
    sig: bytes
    payload: bytes


class Ordered(msgspec.Struct, tag="ordered", gc=False, kw_only=True, omit_defaults=True):
    """A person forces a scope open or releases it. `payload` is the signed command, base64."""

    record_id: str
    tenant: str
    agent_id: str
    kid: str
    sig: bytes
    payload: bytes


class Decided(msgspec.Struct, tag="decided", gc=False, kw_only=True, omit_defaults=True):
    """A person answers a call that waits. `payload` is the signed `Decision`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    approval_id: str
    kid: str
    sig: bytes
    payload: bytes


class Reviewed(msgspec.Struct, tag="reviewed", gc=False, kw_only=True, omit_defaults=True):
    """A person judges an allowed call afterwards. `payload` is the signed `Review`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    kid: str
    sig: bytes
    payload: bytes


class IncidentReviewed(
    msgspec.Struct, tag="incident_reviewed", gc=False, kw_only=True, omit_defaults=True
):
    """A person judges an incident. `payload` is the signed `IncidentReview`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    incident_id: str
    kid: str
    sig: bytes
    payload: bytes


class Braked(msgspec.Struct, tag="braked", gc=False, kw_only=True, omit_defaults=True):
    """Correlate brakes a tenant until a moment of record time, or lets it go (0): soft rules stop nobody."""

    src: Src = NO_SRC
    tenant: str
    until: float


AgentFact = Step | Run | Alive | Ack | Registered | Ordered | Decided | Reviewed | IncidentReviewed
Fact = AgentFact | Braked
# Computed from another topic's record; the rest is of people.
Derived = Step | Run | Alive | Ack | Braked


class Decision(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs: yes or no to one call, this tool with these arguments."""

    approval_id: str
    tool: str
    args_hash: str
    approved: bool
    by: str
    reason: str = ""
    at: int = 0  # µs, the person's clock


Judgement = Literal["right", "wrong"]


class Review(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs afterwards: whether one call with these arguments was rightly allowed."""

    trace_id: str
    call_id: str
    tool: str
    args_hash: str
    label: Judgement
    by: str
    note: str = ""
    at: int = 0  # µs, the person's clock


Truth = Literal["real", "false", "expected"]


class IncidentReview(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs of an incident: whether the alarm behind it was right.

    `real`: something was wrong. `false`: nothing was. `expected`: a change, as told, and a wanted one.
    """

    incident_id: str
    signal_id: str
    detector: str
    label: Truth
    by: str
    reason: str
    at: int = 0  # µs, the person's clock


class Wanted(msgspec.Struct, tag="wanted", gc=False, kw_only=True, omit_defaults=True):
    """A call that waits for a person, as people read it."""

    src: Src = NO_SRC
    approval_id: str
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    tool: str
    args_hash: str = ""
    decision_args: dict[str, Any] = {}
    user_id: str = ""
    task_type: str = ""
    rule: str = ""
    reason: str = ""
    approvers: list[str] = []
    at: float
    expires_at: float


class Outcome(msgspec.Struct, tag="outcome", gc=False, kw_only=True, omit_defaults=True):
    """How a call's waiting ended: ``approved``, ``refused`` or ``expired``; by whom, with which key."""

    src: Src = NO_SRC
    approval_id: str
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    tool: str
    args_hash: str = ""
    outcome: str
    by: str = ""
    reason: str = ""
    kid: str = ""
    at: float


class Sampled(msgspec.Struct, tag="sampled", gc=False, kw_only=True, omit_defaults=True):
    """A call that was allowed and that somebody should look at afterwards, as people read it."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    tool: str
    args_hash: str = ""
    decision_args: dict[str, Any] = {}
    user_id: str = ""
    task_type: str = ""
    at: float


class Label(msgspec.Struct, tag="label", gc=False, kw_only=True, omit_defaults=True):
    """A person's word on an allowed call; a newer one of the same person replaces it."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    tool: str
    args_hash: str = ""
    label: Judgement
    by: str
    note: str = ""
    kid: str = ""
    said_at: int  # µs, the person's clock
    at: float


class IncidentLabel(
    msgspec.Struct, tag="incident_label", gc=False, kw_only=True, omit_defaults=True
):
    """A person's word on an incident; the newest word of anybody is what counts of it.

    `real`, `false` and `expected` are what the agent's owner has counted of the detector, this one included.
    """

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    incident_id: str
    signal_id: str
    detector: str
    label: Truth
    by: str
    reason: str
    kid: str = ""
    said_at: int  # µs, the person's clock
    real: int = 0
    false: int = 0
    expected: int = 0
    at: float


class Signal(msgspec.Struct, tag="signal", gc=False, kw_only=True, omit_defaults=True):
    """A finding with its evidence; the alarm record of the detection catalogue."""

    src: Src = NO_SRC
    signal_id: str
    tenant: str
    agent_id: str
    trace_id: str = ""
    step_id: str = ""
    tool: str = ""
    detector: str
    evidence_class: EvidenceClass
    severity: Literal["info", "low", "medium", "high", "critical"]
    action: str  # suggested, a word of architecture §7
    status: Literal["cold", "shadow", "live", "metrics_only"] = "live"
    score: float = 0.0
    threshold: float = 0.0
    n: int = 0
    evidence: dict[str, Any] = {}
    sentence: str
    first_event: str = ""
    last_event: str = ""
    at: float  # record time, s
    scope: str = ""  # the breaker that it tripped, empty where it did not
    cmd_id: str = ""
    why: str = ""  # its severity is what it is
    owasp: list[str] = []  # ids of the agentic top 10
    atlas: list[str] = []  # techniques that would leave the same trace
    model: str = ""
    bundle: str = ""


class Acknowledged(msgspec.Struct, tag="ack", gc=False, kw_only=True, omit_defaults=True):
    """The control log's line for an obeyed command."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    cmd_id: str
    scope: str
    term: int = 0
    epoch: int = 0
    state: str = ""
    event_id: str
    applied_at: int
    at: float


class Summary(msgspec.Struct, tag="summary", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: one trip or alarm of one agent, with its owner's routes."""

    src: Src = NO_SRC
    signal: Signal
    owner: str = ""
    routes: list[str] = []
    suspect: tuple[float, str, str] | None = None  # first evidence of the run: time, step, detector


class Census(msgspec.Struct, tag="census", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: agents at work in its partition, of the tenants whose count changed."""

    src: Src = NO_SRC
    active: dict[str, int]


class Reopened(msgspec.Struct, tag="reopened", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: an agent that a soft rule had stopped failed its trial."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str


class Incident(msgspec.Struct, tag="incident", gc=False, kw_only=True, omit_defaults=True):
    """One trip or alarm as people handle it."""

    src: Src = NO_SRC
    incident_id: str
    tenant: str
    agent_id: str
    status: Literal["open", "resolved"] = "open"
    severity: str
    title: str
    sentence: str
    detector: str
    action: str
    scope: str = ""
    cmd_id: str = ""
    trace_id: str = ""
    signal_id: str
    first_event: str = ""
    last_event: str = ""
    owner: str = ""
    routes: list[str] = []
    why: str = ""  # its severity is what it is
    owasp: list[str] = []
    atlas: list[str] = []
    opened_at: float
    candidate_agent: str = (
        ""  # where the run may have gone wrong first (D36); empty without evidence
    )
    candidate_step: str = ""
    candidate_share: float = 0.0  # of the evidence in its trace
    node: str = (
        ""  # what many agents that alarm share (D35): `tool:`, `model:`, `bundle:`, `tenant:`
    )
    children: list[
        str
    ] = []  # incidents that a node's was made of; later ones name it as their parent
    parent: str = ""
    muted: bool = False  # stored, and told to nobody: its parent says it


class Owner(msgspec.Struct, tag="owner", gc=False, kw_only=True):
    """A worker takes a partition: its term is this record's offset."""

    worker: str
    build: str
    settings: str


class DeadLetter(msgspec.Struct, tag="dead", gc=False, kw_only=True, omit_defaults=True):
    """Bytes that could not be read, with their origin."""

    topic: str
    partition: int
    offset: int
    line: int
    reason: str
    detail: str = ""
    sha256: str
    raw: bytes  # base64 on the wire
    headers: list[tuple[str, str]] = []
