"""What join tells of a run: its steps with their reasoning, its beginning and end, signs of life."""

from typing import Any, Literal

import msgspec

from ingest.records.marks import NO_SRC, Src


class Ref(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A cognitive or contextual event that belongs to a step: id, name, 64-bit sketch (hex), sureness."""

    event_id: str
    name: str
    sketch: str = ""
    confidence: float | None = None


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


class Manner(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """How a call is made, by 32 bits of keyed hashes: form of its arguments (0: unknown), places, things."""

    form: int = 0
    places: list[int] = []
    about: list[int] = []


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


class Form(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Whether a result has the form that was declared for its tool: what is wrong, at which field."""

    wrong: str = ""  # empty: nothing
    field: str = ""


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
    confidential: list[Kept] = []  # of a call, what confidential results brought


class Account(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Calls of one tool as an agent claims them and as they were done, in one run.

    `missing` were claimed and never done, `false` claimed as done though they failed or were refused,
    `flipped` claimed as failed though they were done. Of those that were done, `args` had other arguments
    and `results` another result than is claimed; `unclaimed` were done and nothing is said of them.
    """

    tool: str
    claimed: int = 0  # as done
    done: int = 0
    failed: int = 0  # or refused
    missing: int = 0
    false: int = 0
    flipped: int = 0
    args: int = 0
    results: int = 0
    unclaimed: int = 0


class Probed(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """How a probe's run ended: set, id, hash of what the whole set asks and expects, what differs from it.

    Each difference is its kind and what it is about: a tool, a count, an outcome.
    """

    set: str
    id: str
    digest: str
    missed: list[tuple[str, str]] = []


class Answered(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What an answer names that its run has met nowhere: ids and addresses, numbers, the first of them."""

    task: str
    called: bool  # some tool was called before it
    ids: int
    numbers: int
    values: list[Value] = []


class Planned(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A call under a declared plan: whether that names its tool, and how the run has kept to it so far."""

    named: bool
    steps: int  # of the plan
    calls: int  # since it was declared, this one among them
    distance: int  # changes from the part of the plan that is due to these calls


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
    manner: Manner | None = None  # of a tool's call, where its process tells it
    echo: bool = False  # written for the record only (a revision); decisions ignore it
    run: RunTotals | None = None
    loop: Loop | None = None
    crew: Loop | None = None  # of a handoff: repetition of it among those of the trace
    agents: int = 0  # with `crew`: agents of the trace so far
    form: Form | None = None  # of a result for which one was declared
    template: str = ""  # of a result or an error: 16 digits of its kind's keyed hash
    hindered: str = ""  # of a result: it failed by a `lock`, a `conflict` or a `timeout`
    stale: bool = False  # with `loop`: the call brought nothing that the run had not seen
    held: Asked | None = None  # of a request that waits for its verdict
    carries: list[str] = []  # of a request: classes of sensitive data in its arguments
    heard: list[int] = []  # of the first request after an order: its values, 31 bits of each hash
    used: list[int] = []  # of a request: those of them that its arguments hold
    provenance: Provenance | None = None  # of a request whose arguments hold telling values
    planned: Planned | None = None  # of a request in a run that has declared its steps
    claims: list[Account] = []  # of a request: tools of which the run claimed what is not so
    lost: int = 0  # with `claims`: events of the run that its process could not send
    probe: str = (
        ""  # set and id, where its run is a probe: no user's work, and nothing is learnt from it
    )

    @property
    def again(self) -> bool:
        """Whether the same call asks anew, after it had to wait for its verdict."""
        return self.held is not None and self.held.attempt > 1


class Run(msgspec.Struct, tag="run", gc=False, kw_only=True, omit_defaults=True):
    """An agent began or ended its part of a trace; `after`: what could be told only some time later."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    trace_id: str
    phase: Literal["start", "end", "after"]
    event_id: str
    emitted_at: int
    status: str = ""
    spooled: bool = False
    run: RunTotals | None = None
    shadow_of: str = ""  # trace id of the run that a shadow repeats
    answer: Answered | None = None  # the newest of the run
    claims: list[Account] = []  # each tool of which the run claims something, or left it out
    lost: int = 0  # events of the run that its process could not send
    probe: str = ""  # set and id, where it is a probe
    probed: Probed | None = None  # of its end


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
