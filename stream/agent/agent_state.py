"""What detect remembers of one agent: its file, detectors, breakers, open runs, unanswered commands. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, TypeVar

import msgspec

from detectors import (
    CallRate,
    CanaryMix,
    CanaryRate,
    ContextGrowth,
    CostCap,
    Course,
    Deeds,
    ErrorBaseline,
    ErrorRate,
    FirstTime,
    LatencyBaseline,
    LatencyQuantile,
    LowConfidence,
    MalformedResult,
    NewTemplate,
    NoProgress,
    PriceMismatch,
    ProbeDrift,
    RunCost,
    SensitiveRate,
    SequenceSurprise,
    ShadowPair,
    Silence,
    SkippedHabit,
    SlowDrift,
    StepVector,
    TaskDrift,
    ToolChanged,
    TriggerPair,
    UnplannedStep,
    UnsupportedClaim,
    Volume,
    Walk,
)
from detectors.alarm_budget import AlarmBudget
from detectors.uniformity import Uniformity
from ingest.agent_file import AgentFile
from stream.agent.agreements import Agreed, Alarm, Pending, Sampling
from stream.agent.breaker import Breaker, State
from stream.agent.budgets import Ledger
from tracefuse.control import agent_scope, bundle_scope, run_scope, tool_scope

T = TypeVar("T")

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(AgentFile).decode

RUNS_MAX = 256  # open runs of one agent
HALVES_MAX = 256  # runs that wait for their shadow, or for what they repeat
BUNDLES_MAX = 8  # of one agent that something was said of
BUNDLE_MODELS_MAX = 4  # the newest
TOOLS_MAX = 64  # tools of one agent; the one used longest ago goes
ORDERS_KEPT = 256  # ids of human records, to make repeats harmless, and scopes that they were about
AWAITING_MAX = 64
TASKS_MAX = 3  # of one agent that have a baseline of their own; the others share one
MODELS_MAX = 8  # of one agent; the one used longest ago goes
VERSIONS_MAX = 2  # of which is known how sure they are; the one that ran longest ago goes
MEASURED_MAX = 256  # detectors and scopes that are measured only
DOUBTS_MAX = 8  # calls of a run that one detector lets wait; beyond it, all of the run's
ALARMS_MAX = 48  # alarms that people may still judge: 80 bytes each in a checkpoint once judged


@dataclass(slots=True)
class RunState:
    """One open run of the agent."""

    breaker: Breaker
    cost: CostCap = field(default_factory=CostCap)
    silence: Silence | None = None  # None until the run has begun in time, not out of a spool
    first_event: str = ""
    last_event: str = ""
    failed: dict[str, int] = field(default_factory=dict)  # the same call, failed so often in a row
    began: float = 0.0  # broker time of the first step
    signals: dict[str, str] = field(default_factory=dict)  # by detector, what it suggested last
    bundle: str = ""  # that its first step named
    failed_once: bool = False  # a call of it has failed
    shadow_of: str = ""  # the run that it repeats
    walk: Walk = field(default_factory=Walk)  # its calls, and how surprising they are
    refused: int = 0  # calls of it that did not run
    gaps: bool = False  # calls came late, from a disk: their order is not known
    suspect: tuple[float, str, str] | None = None  # first evidence: record time, step, detector
    task: str = ""  # of its newest call
    called: bool = False  # a call of it was judged by what it brought
    stale: int = 0  # calls in a row that brought nothing new
    stale_longest: int = 0
    done: int = 0  # steps that have completed
    spent: list[float] = field(default_factory=list)  # USD after 1, 2, 4, … steps, the newest last
    growth: ContextGrowth = field(default_factory=ContextGrowth)
    doubts: dict[str, list[str]] = field(default_factory=dict)  # by detector: see `doubting`
    deeds: Deeds = field(default_factory=Deeds)  # what went well, and what was asked for when
    skipped: list[str] = field(default_factory=list)  # tools that came too early, and were told of
    course: Course | None = None  # None until a call told how sure the agent is
    planned: int = 0  # writes that its plan named
    unplanned: int = 0  # writes that its plan did not name
    heard: list[int] = field(default_factory=list)  # values of its order that no write has acted on
    wrote: list[str] = field(default_factory=list)  # tools that write and were asked for


@dataclass(slots=True)
class ToolState:
    """One tool in the hands of the agent."""

    breaker: Breaker
    errors: ErrorRate = field(default_factory=ErrorRate)
    baseline: ErrorBaseline = field(default_factory=ErrorBaseline)
    latency: LatencyQuantile = field(default_factory=LatencyQuantile)
    usual_latency: LatencyBaseline = field(default_factory=LatencyBaseline)
    results: MalformedResult | None = None  # None until one was held against a declared form
    templates: NewTemplate | None = None  # None until an answer told its kind
    described: ToolChanged | None = None  # None until a call told how the tool describes itself
    carried: SensitiveRate | None = None  # None until a call of it could write
    tells: int = 1  # calls after which correlate hears of it next


@dataclass(slots=True)
class TaskState:
    """Runs of one kind of task, and what the agent was made of when their reference was frozen."""

    drift: TaskDrift = field(default_factory=TaskDrift)
    reference: dict[str, tuple[str, ...]] = field(default_factory=dict)  # its parts then
    version: str = ""  # bundle and models of the newest run
    changed_at: int = 0  # run of the drift at which those changed last; 0 if they never did


@dataclass(slots=True)
class BundleState:
    """One bundle of the agent, and how it compares with the stable one."""

    breaker: Breaker
    errors: ErrorRate = field(default_factory=lambda: _all_tools())
    calls: CanaryRate = field(default_factory=CanaryRate)  # runs in which a call failed
    runs: CanaryRate = field(default_factory=CanaryRate)  # runs that ended badly
    mix: CanaryMix = field(default_factory=CanaryMix)  # tools that its runs call
    pairs: ShadowPair = field(default_factory=ShadowPair)
    halves: dict[str, tuple[bool, bool]] = field(default_factory=dict)  # shadow?, bad?; by trace id


@dataclass(slots=True)
class ProbeSet:
    """One set of probes: how it goes, and with which bundle all of it last went well."""

    digest: str
    drift: ProbeDrift = field(default_factory=ProbeDrift)
    bundle: str = ""
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Planted(NamedTuple):
    """An address that a run wrote into memory though nobody in charge named it."""

    trace_id: str
    record: str  # 16 digits of its key's hash
    ordered: bool  # it stood in a passage that gives orders


@dataclass(slots=True)
class Awaited:
    """A command that nobody has acknowledged yet."""

    cmd_id: str
    scope: str
    since: float
    deadline: float
    trace_id: str
    event_id: str


def _all_tools() -> ErrorRate:
    # A row of failures is a matter of one tool; over all tools only the share counts.
    return ErrorRate(consecutive_max=None)


@dataclass(slots=True)
class AgentState:
    """One agent. Bounded by the `_MAX` above; about 3 kB plus 3 kB a tool,
    up to 12 kB for its usual sequences, 4 kB each for what goes before what and for what is new,
    up to 3.2 kB for how much it does, 4 kB for how sure it is,
    and up to 66 kB for a week of minutes."""

    tenant: str
    agent_id: str
    breaker: Breaker
    file: AgentFile
    registered: bool = False
    reported_unregistered: bool = False
    last: int = 0
    deadline: float = inf
    heard: float = 0.0  # record time of the last sign of life that was not spooled
    at: float = 0.0  # broker time of the newest step, never falling: rates count by it
    runs: dict[str, RunState] = field(default_factory=dict)
    tools: dict[str, ToolState] = field(default_factory=dict)
    bundles: dict[str, BundleState] = field(default_factory=dict)
    rates: dict[str, CallRate] = field(default_factory=dict)
    errors: ErrorRate = field(default_factory=_all_tools)
    day: CostCap = field(default_factory=lambda: CostCap(daily=True))
    vectors: dict[str, StepVector] = field(default_factory=dict)  # by action: tools, models
    drift: SlowDrift = field(default_factory=SlowDrift)
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by bundle, that it called
    reference: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # its parts as drift was frozen
    progress: dict[str, NoProgress] = field(default_factory=dict)  # by task
    tasks: dict[str, TaskState] = field(default_factory=dict)  # by kind of task
    sequences: SequenceSurprise = field(default_factory=SequenceSurprise)
    firsts: FirstTime = field(default_factory=FirstTime)
    preceding: SkippedHabit = field(default_factory=SkippedHabit)
    awaited: dict[str, Awaited] = field(default_factory=dict)
    orders: dict[str, None] = field(default_factory=dict)
    ordered: dict[str, int] = field(default_factory=dict)  # epoch of a person's newest, by scope
    ledger: Ledger = field(default_factory=Ledger)
    verdicts: dict[str, bytes] = field(default_factory=dict)  # by asking, encoded
    pending: dict[str, Pending] = field(default_factory=dict)  # by approval id
    agreed: dict[str, Agreed] = field(default_factory=dict)  # by approval id, not used yet
    measured: dict[str, float] = field(
        default_factory=dict
    )  # by detector and scope: said, not enacted
    sampled: dict[str, Sampling] = field(
        default_factory=dict
    )  # allowed, to be judged; by trace/call

    alarms: AlarmBudget = field(default_factory=AlarmBudget)
    raised: dict[str, Alarm] = field(default_factory=dict)  # by signal id
    labelled: dict[str, tuple[int, int, int]] = field(
        default_factory=dict
    )  # by detector: real, false, expected

    soft: bool = False  # what opened its breaker last was a soft rule
    active_until: float = 0.0  # counted as at work; record time at which that is looked at again
    prices: dict[str, PriceMismatch] = field(default_factory=dict)  # by model
    planted: dict[str, Planted] = field(default_factory=dict)  # by keyed hash
    run_costs: dict[str, RunCost] = field(default_factory=dict)  # by task
    volumes: dict[str, Volume] = field(default_factory=dict)  # by access class; "": of all calls
    planned: UnplannedStep = field(default_factory=UnplannedStep)
    triggers: TriggerPair = field(default_factory=TriggerPair)
    answers: dict[str, UnsupportedClaim] = field(default_factory=dict)  # by task
    claims_writes: bool = False  # a run of it has claimed a write
    probes: dict[str, ProbeSet] = field(default_factory=dict)  # by the name of the set
    health: dict[str, Uniformity] = field(default_factory=dict)  # by detector that tells a p
    sureness: dict[str, LowConfidence] = field(default_factory=dict)  # by bundle

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        # The file by name: pickle keeps its fields by place, and another build has others.
        known: dict[str, Any] = object.__getstate__(self)[1]  # type: ignore[index]
        return None, known | {"file": _pack(self.file)}

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        known = state[1]
        for name in self.__slots__:
            if name in known:
                setattr(self, name, known[name])
        self.file = _unpack(known["file"])

    def run(self, trace_id: str) -> RunState:
        known = self.runs.get(trace_id)
        if known is None:
            scope = run_scope(self.tenant, self.agent_id, trace_id)
            known = self.runs[trace_id] = RunState(Breaker(scope, auto_close=False))
            if len(self.runs) > RUNS_MAX:
                self.end(self._oldest())
        return known

    def end(self, trace_id: str) -> RunState | None:
        """Forget a run, and what it has spent."""
        self.ledger.forget(trace_id)
        return self.runs.pop(trace_id, None)

    def tool(self, name: str) -> ToolState:
        known = self.tools.pop(name, None)
        if known is None:
            known = ToolState(Breaker(tool_scope(self.tenant, self.agent_id, name)))
            if len(self.tools) >= TOOLS_MAX:
                del self.tools[self._idlest()]
        self.tools[name] = known  # the newest last
        return known

    def price(self, model: str) -> PriceMismatch:
        """What tokens of a model cost."""
        known = self.prices.pop(model, None) or PriceMismatch()
        self.prices[model] = known  # the newest last
        if len(self.prices) > MODELS_MAX:
            del self.prices[next(iter(self.prices))]
        return known

    def sure(self, bundle: str) -> LowConfidence:
        """How sure a version is of its calls, and what its doubts have meant."""
        known = self.sureness.pop(bundle, None) or LowConfidence()
        self.sureness[bundle] = known  # the newest last
        if len(self.sureness) > VERSIONS_MAX:
            del self.sureness[next(iter(self.sureness))]
        return known

    def run_cost(self, task: str) -> RunCost:
        """What runs of a task cost."""
        return _of_task(self.run_costs, task, RunCost)

    def task(self, name: str) -> TaskState:
        """How runs of a task are."""
        return _of_task(self.tasks, name, TaskState)

    def answer(self, task: str) -> UnsupportedClaim:
        """How answers of a task usually are."""
        return _of_task(self.answers, task, UnsupportedClaim)

    def vector(self, action: str) -> StepVector:
        """How steps of one action usually are: between a tool's call and a model's lie two worlds."""
        known = self.vectors.get(action)
        if known is None:
            known = self.vectors[action] = StepVector()
        return known

    def bundle(self, name: str) -> BundleState:
        known = self.bundles.get(name)
        if known is None:
            scope = bundle_scope(self.tenant, self.agent_id, name)
            known = self.bundles[name] = BundleState(Breaker(scope, auto_close=False))
            if len(self.bundles) > BUNDLES_MAX:
                free = (n for n, one in self.bundles.items() if not one.breaker.stopped)
                del self.bundles[next(free, next(iter(self.bundles)))]
        return known

    def scored(self, name: str, chance: float | None) -> None:
        """Remember how rare a detector called what it was given last, found or not."""
        if chance is not None:
            known = self.health.get(name)
            if known is None:
                known = self.health[name] = Uniformity()
            known.add(chance, self.at)

    def alarmed(self, signal_id: str, detector: str) -> None:
        """Remember an alarm for whoever judges it; of too many, the oldest of the loudest detector goes."""
        self.raised[signal_id] = Alarm(detector)
        if len(self.raised) > ALARMS_MAX:
            often = Counter(alarm.detector for alarm in self.raised.values()).most_common(1)[0][0]
            del self.raised[next(s for s, alarm in self.raised.items() if alarm.detector == often)]

    def _idlest(self) -> str:
        """The tool used longest ago that runs freely; what stands open is the least used of all."""
        free = (n for n, tool in self.tools.items() if tool.breaker.state is State.CLOSED)
        return next(free, next(iter(self.tools)))

    def _oldest(self) -> str:
        """The oldest run that was never stopped, but not the newest of all."""
        free = (trace_id for trace_id, run in self.runs.items() if not run.breaker.epoch)
        oldest = next(iter(self.runs))
        found = next(free, oldest)
        return oldest if found == next(reversed(self.runs)) else found

    def breaker_of(self, scope: str, new: bool) -> Breaker | None:
        """The breaker of a scope of this agent. `new`: also one that nothing has happened to yet."""
        for breaker in self.breakers():
            if breaker.scope == scope:
                return breaker
        kind, _, rest = scope.partition(":")
        own = f"{self.tenant}/{self.agent_id}/"
        name = rest.removeprefix(own) if rest.startswith(own) else ""
        if not new or not name:
            return None
        if kind == "tool":
            return self.tool(name).breaker
        if kind == "bundle":
            return self.bundle(name).breaker
        return self.run(name).breaker if kind == "run" else None

    def breakers(self) -> Iterator[Breaker]:
        yield from self._lasting()
        for run in self.runs.values():
            yield run.breaker

    def _lasting(self) -> Iterator[Breaker]:
        """Breakers of scopes that outlive a run."""
        yield self.breaker
        for tool in self.tools.values():
            yield tool.breaker
        for bundle in self.bundles.values():
            yield bundle.breaker

    def arm(self, trace_id: str = "") -> None:
        """Set the agent's timer to the earliest of its deadlines.

        With `trace_id` no other run has changed, and none is looked at: an agent may have hundreds open.
        The timer is then never late. It may be early, finds nothing due, and is set anew from all runs.
        """
        earliest = self.deadline if trace_id else inf
        for breaker in self._lasting():
            if breaker.state is not State.CLOSED:  # which waits for nothing
                earliest = min(earliest, breaker.deadline)
        if self.ledger.deadline < earliest:
            earliest = self.ledger.deadline
        if self.active_until and self.active_until < earliest:
            earliest = self.active_until
        if self.pending:
            earliest = min(earliest, min(one.deadline for one in self.pending.values()))
        changed = self.runs.get(trace_id)
        for run in self.runs.values() if not trace_id else (changed,) if changed else ():
            if run.breaker.state is not State.CLOSED:
                earliest = min(earliest, run.breaker.deadline)
            if run.silence is not None and run.silence.deadline < earliest:
                earliest = run.silence.deadline
        for awaited in self.awaited.values():
            if awaited.deadline < earliest:
                earliest = awaited.deadline
        self.deadline = earliest


def _of_task(known: dict[str, T], task: str, make: Callable[[], T]) -> T:
    """What is kept of a task. Names come from the agent: only the first few tasks count apart."""
    if task not in known and len(known) >= TASKS_MAX:
        task = ""
    if task not in known:
        known[task] = make()
    return known[task]


def new_agent(key: str) -> AgentState:
    """A fresh agent of its key ``tenant/agent_id``."""
    tenant, _, agent_id = key.partition("/")
    breaker = Breaker(agent_scope(tenant, agent_id))
    return AgentState(tenant, agent_id, breaker, AgentFile(agent=agent_id, tenant=tenant))
