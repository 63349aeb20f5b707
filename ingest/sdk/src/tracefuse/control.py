"""The control plane's record: what a scope may do now, who says so, and why.

One record per scope and author. A reader accepts a higher (term, epoch), or the same with an identical
state and a later ``issued_at``; expiry voids only what relaxes (architecture: the control plane).
"""

from typing import Any, Literal

import msgspec

from tracefuse.wire import WIDE_PARTITION, agent_key, partition_of

State = Literal["closed", "open", "half_open", "forced_open", "throttled"]
Author = Literal["auto", "human"]

# Scopes from narrow to wide; the strictest applicable one wins.
SCOPES = ("run", "tool", "bundle", "agent", "shared_tool", "class", "tenant", "fleet")
# Wider than one agent.
WIDE = SCOPES[4:]
# How strict a state is: the strictest of a call's scopes decides.
STRICTNESS: dict[str, int] = {
    "closed": 0, "throttled": 1, "half_open": 2, "open": 3, "forced_open": 4,
}  # fmt: skip


class Reason(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """Why a command was given: rule, its words, and the events that prove it."""

    rule: str
    text: str = ""
    evidence: tuple[str, ...] = ()
    last_emitted_at: int = 0  # µs, the agent's claim: start of the detect-to-stop measure


class Command(msgspec.Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """State of one scope. Signed as raw bytes; ``kid`` and ``sig`` travel in the headers.

    ``action`` is a word of the catalogue (architecture §7) or a breaker's action: ``deny_all``,
    ``deny_writes``, ``throttle``. ``probes`` is the number of calls each gate lets through while half
    open; ``interval_ms`` the spacing while throttled. ``expires_at`` 0 means never.
    """

    v: int = 1
    cmd_id: str
    scope: str
    author: Author
    action: str
    state: State
    epoch: int
    reason: Reason
    term: int = 0
    issued_at: int = 0
    expires_at: int = 0
    mode: str = "enforce"
    probes: int = 0
    interval_ms: int = 0
    src: tuple[str, int, int, int, int] | None = None


encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Command)


def decode(payload: bytes) -> Command:
    """Command of its bytes; raises `msgspec.DecodeError` to the caller, who drops and counts it."""
    return _decoder.decode(payload)


def control_key(scope: str, author: str) -> str:
    """Record key on `agent.control.v1`.

    >>> control_key(agent_scope("acme", "refunds"), "auto")
    'agent:acme/refunds:auto'
    """
    return f"{scope}:{author}"


def run_scope(tenant: str, agent_id: str, trace_id: str) -> str:
    """One agent within one trace."""
    return f"run:{tenant}/{agent_id}/{trace_id}"


def tool_scope(tenant: str, agent_id: str, tool: str) -> str:
    """One tool in the hands of one agent."""
    return f"tool:{tenant}/{agent_id}/{tool}"


def bundle_scope(tenant: str, agent_id: str, bundle: str) -> str:
    """The runs of one agent that got one bundle."""
    return f"bundle:{tenant}/{agent_id}/{bundle}"


def agent_scope(tenant: str, agent_id: str) -> str:
    """All calls of one agent."""
    return f"agent:{tenant}/{agent_id}"


def concerns(key: str, tenant: str, agent_id: str) -> bool:
    """Whether a control key can bind this agent; checked before any signature is (172 µs each)."""
    scope, _, rest = key.partition(":")
    if scope in ("run", "tool", "bundle"):
        return rest.startswith(f"{tenant}/{agent_id}/")
    if scope in ("agent", "tenant"):
        named = rest.rpartition(":")[0]  # a name may hold a colon of its own
        return named == (tenant if scope == "tenant" else f"{tenant}/{agent_id}")
    return scope == "fleet" or rest.startswith(f"{tenant}/")


def partition_of_scope(scope: str) -> int:
    """Partition of a scope's records on `agent.control.v1`: an agent reads two, not all.

    A command of one agent lies with that agent, a wider one in the last, to which everybody listens.
    Compaction keeps the newest record of each key all the same.

    >>> partition_of_scope("run:acme/refunds/" + "0" * 32) == partition_of_scope("agent:acme/refunds")
    True
    >>> partition_of_scope("tenant:acme") == partition_of_scope("fleet") == WIDE_PARTITION
    True
    """
    kind, _, rest = scope.partition(":")
    if kind in WIDE:
        return WIDE_PARTITION
    names = rest.split("/", 2)
    return partition_of(agent_key(names[0], names[1] if len(names) > 1 else ""))


def partitions_of_agent(tenant: str, agent_id: str) -> tuple[int, ...]:
    """Partitions of `agent.control.v1` that may bind an agent: its own, and the one for all."""
    return partition_of_scope(agent_scope(tenant, agent_id)), WIDE_PARTITION


def as_dict(command: Command) -> dict[str, Any]:
    """Plain values, for comparing two commands field by field."""
    return {name: getattr(command, name) for name in command.__struct_fields__}
