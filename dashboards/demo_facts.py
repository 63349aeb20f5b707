"""What a demo is judged by: the fleet's own account, and what the store holds. Values only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import msgspec

from ingest.simulate.journal import Call, Change, Entry, Exit, Mark, Refusal, Told

STOPPED = ("open", "forced_open", "throttled")


class Quantiles(msgspec.Struct, frozen=True):
    """Milliseconds, nearest rank; zeros where nothing was measured (n = 0)."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    n: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """How one scenario ended.

    ``detect_to_stop_ms`` is of its first stop; the calls are counted over all its stops. For an agent
    that cannot be stopped ``calls_after_stop`` counts what it did after the command. Where calls are
    refused one by one, a stop is a refusal, measured from the call, and ``calls_after_stop`` counts calls
    that ran although they must not; where a call waits for a person's yes, it counts those that did
    not wait. Of answers it counts those that reached a user although they must not. ``problem`` is
    empty when all went as expected.
    """

    name: str
    agent_id: str
    expected: str
    must_stop: bool
    detected: bool
    stopped: bool
    acknowledged: bool
    detect_to_stop_ms: float | None = None
    alarm_ms: float | None = None
    stops: int = 0
    calls_before_stop: int = 0
    calls_after_stop: int = 0
    incident_id: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """One command of the control log; `at` is when it was recorded, µs."""

    cmd_id: str
    scope: str
    state: str
    rule: str
    at: int
    last_emitted_at: int = 0
    interval_ms: int = 0

    @property
    def agent_id(self) -> str:
        """Agent of a scope ``kind:tenant/agent[/...]``; empty for wider ones."""
        parts = self.scope.partition(":")[2].split("/")
        return parts[1] if len(parts) > 1 else ""


@dataclass(frozen=True, slots=True)
class Found:
    """One signal; `at` in µs. `incident_id` is empty where people were not told."""

    agent_id: str
    detector: str
    at: int
    cmd_id: str = ""
    incident_id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """One call that did not run, as the store tells it: by which gate of the policy."""

    agent_id: str
    trace_id: str
    gate: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A person's answer to a call that waited, as its owner took it; `at` in µs."""

    agent_id: str
    trace_id: str
    word: str
    at: int


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did about an agent while the demo played, and what came of it.

    Parameters
    ----------
    what
        ``approves``, ``refuses``, ``kills`` or ``promotes``.
    outcome
        In one word (``approved``, ``refused``, ``forced_open``, ``granted``), or what went wrong.
    at_us
        When it was signed, or asked.
    cmd_id
        The command that was given.
    text
        For people.
    """

    agent_id: str
    what: str
    outcome: str
    at_us: int
    cmd_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of the demo's tenant."""

    rows: int
    unique: int
    records: int
    dead_lettered: int
    orders: Sequence[Ordered]
    acknowledged: Mapping[str, int]
    """Time at which the acknowledgement was recorded, µs, by command."""
    signals: Sequence[Found]
    lags_ms: Quantiles
    refusals: Sequence[Refused] = ()
    answers: Sequence[Answered] = ()
    malformed: Sequence[tuple[str, str]] = ()
    """Agent and trace of answers whose event says that they had not their form."""


@dataclass(slots=True)
class Account:
    """One process's journal, sorted by kind, and what people did about it."""

    calls: list[Call] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    exit: Exit | None = None

    def take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            match entry:
                case Call():
                    self.calls.append(entry)
                case Refusal():
                    self.refusals.append(entry)
                case Told():
                    self.told.append(entry)
                case Change():
                    self.changes.append(entry)
                case Mark():
                    self.marks.setdefault(entry.what, entry.at_us)
                case Exit():
                    self.exit = entry


def quantiles(values: Iterable[float]) -> Quantiles:
    """Nearest-rank quantiles.

    >>> quantiles([4.0, 1.0, 3.0, 2.0])
    Quantiles(p50=2.0, p99=4.0, max=4.0, n=4)
    """
    ranked = sorted(values)
    if not ranked:
        return Quantiles()
    p50, p99 = (ranked[ceil(q * len(ranked)) - 1] for q in (0.50, 0.99))
    return Quantiles(round(p50, 3), round(p99, 3), round(ranked[-1], 3), len(ranked))
