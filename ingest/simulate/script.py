"""What one run of a simulated agent does, as data. Pure: tasks write scripts, faults rewrite them."""

from dataclasses import dataclass, field, replace
from typing import Any

BAIT = "{honeytoken}"
"""Where a call's arguments or result hold this, the player puts a honeytoken: that takes a tenant's key."""


@dataclass(frozen=True, slots=True)
class Say:
    """A cognitive event: ``plan`` or ``thought``; how sure the agent is (0 to 1), the tools that it plans."""

    name: str
    text: str
    confidence: float | None = None
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Know:
    """Documents that the agent retrieved before it decided."""

    documents: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One model call. Money in USD."""

    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Act:
    """One tool call.

    Parameters
    ----------
    error
        Type of the error that the tool raises; empty means that it answers `result`.
    pause_ms
        Time that the agent waits before the call.
    changes
        State before and after, for calls that write; None for those that only read.
    forbidden
        Whether it must not run. Only the tools' own log and the judge know; the agent tries it.
    described
        What the tool says of itself for this call, and again after it; None where it says nothing new.
    fails_in
        Bundle of the runs in which the tool fails; empty for none.
    only_in
        Bundle of the runs that make this call; empty for all.
    patience_s
        Time that the agent waits for a person to agree; without it the call needs nobody.
    about
        The thing that the call is about, where its author names it.
    """

    tool: str
    args: dict[str, Any]
    result: Any
    latency_ms: float
    error: str = ""
    pause_ms: float = 0.0
    changes: tuple[dict[str, Any], dict[str, Any]] | None = None
    forbidden: bool = False
    described: tuple[str, str] | None = None
    fails_in: str = ""
    only_in: str = ""
    patience_s: float = 0.0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """The process stops as if hung: no thread of it runs until somebody wakes it."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Something is written to the agent's memory, or read from it."""

    key: str
    value: Any
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """The agent's own report of its calls, as it is drawn from its answer."""

    tool: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Hand:
    """The run is handed over to another agent."""

    to: str


Move = Say | Know | Ask | Act | Keep | Tell | Hand | Freeze


@dataclass(frozen=True, slots=True)
class Script:
    """One run.

    ``urgent`` scripts are played at their own times: a fault's latencies and pauses are its
    substance, and a steered rate must not change them. Where it says nothing else, it is of the
    version that the agent's file gives it, and in the environment where the agent belongs. ``form``
    is what the user's answer must look like; ``malformed`` tells that this one does not. ``shadowed`` runs
    are repeated by the shadow bundle, where the agent's file has one. ``whole`` ones end as they were
    written even when it is time to stop: cut short, they would be unlike all others.
    """

    task: str
    user: str
    message: str
    moves: list[Move] = field(default_factory=list)
    answer: str = "done"
    urgent: bool = False
    bundle: str = ""
    environment: str = ""
    form: Any = None
    malformed: bool = False
    shadowed: bool = False
    whole: bool = False


def forbidden(script: Script) -> Script:
    """The same run, where no call of a tool may run."""
    moves: list[Move] = [
        replace(move, forbidden=True) if isinstance(move, Act) else move for move in script.moves
    ]
    return replace(script, moves=moves)
