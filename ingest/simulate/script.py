"""What one run of a simulated agent does, as data. Pure: tasks write scripts, faults rewrite them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """A cognitive event: ``plan`` or ``thought``, and how sure the agent is (0 to 1)."""

    name: str
    text: str
    confidence: float | None = None


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
    """

    tool: str
    args: dict[str, Any]
    result: Any
    latency_ms: float
    error: str = ""
    pause_ms: float = 0.0
    changes: tuple[dict[str, Any], dict[str, Any]] | None = None
    forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Freeze:
    """The process stops as if hung: no thread of it runs until somebody wakes it."""


Move = Say | Know | Ask | Act | Freeze


@dataclass(frozen=True, slots=True)
class Script:
    """One run.

    ``urgent`` scripts are played at their own times: a fault's latencies and pauses are its
    substance, and a steered rate must not change them.
    """

    task: str
    user: str
    message: str
    moves: list[Move] = field(default_factory=list)
    answer: str = "done"
    urgent: bool = False
