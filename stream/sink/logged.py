"""One row of the control log: a command or its acknowledgement, side by side in one table. Pure."""

import msgspec

from ingest.records import NO_SRC, Acknowledged, Src
from tracefuse.control import Command


class Logged(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What the control log says of one record; what its kind doesn't have stays at its default."""

    record: str  # command, ack
    cmd_id: str
    scope: str
    scope_kind: str
    tenant: str
    agent_id: str
    trace_id: str
    author: str = ""
    action: str = ""
    state: str
    term: int
    epoch: int
    rule: str = ""
    text: str = ""
    evidence: tuple[str, ...] = ()
    last_emitted_at: int = 0
    issued_at: int = 0
    expires_at: int = 0
    mode: str = ""
    probes: int = 0
    interval_ms: int = 0
    event_id: str = ""
    applied_at: int = 0
    at: float = 0.0
    kid: str = ""
    sig: str = ""
    src: Src = NO_SRC


def commanded(command: Command, kid: str, sig: str) -> Logged:
    """Row of a command with the proof of its author."""
    kind, tenant, agent_id, trace_id = scope_parts(command.scope)
    return Logged(
        record="command", cmd_id=command.cmd_id, scope=command.scope, scope_kind=kind,
        tenant=tenant, agent_id=agent_id, trace_id=trace_id, author=command.author,
        action=command.action, state=command.state, term=command.term, epoch=command.epoch,
        rule=command.reason.rule, text=command.reason.text, evidence=command.reason.evidence,
        last_emitted_at=command.reason.last_emitted_at, issued_at=command.issued_at,
        expires_at=command.expires_at, mode=command.mode, probes=command.probes,
        interval_ms=command.interval_ms, kid=kid, sig=sig, src=command.src or NO_SRC,
    )  # fmt: skip


def acknowledged(ack: Acknowledged) -> Logged:
    """Row of an acknowledgement."""
    kind, _, _, trace_id = scope_parts(ack.scope)
    return Logged(
        record="ack", cmd_id=ack.cmd_id, scope=ack.scope, scope_kind=kind, tenant=ack.tenant,
        agent_id=ack.agent_id, trace_id=trace_id, state=ack.state, term=ack.term, epoch=ack.epoch,
        event_id=ack.event_id, applied_at=ack.applied_at, at=ack.at, src=ack.src,
    )  # fmt: skip


def scope_parts(scope: str) -> tuple[str, str, str, str]:
    """Kind, tenant, agent and trace of a scope, empty where it names none.

    >>> scope_parts("run:acme/refunds/0af7")
    ('run', 'acme', 'refunds', '0af7')
    >>> scope_parts("tenant:acme")
    ('tenant', 'acme', '', '')
    """
    kind, _, rest = scope.partition(":")
    tenant, *inner = rest.split("/", 2)
    of_agent = kind in ("run", "tool", "agent") and len(inner) > 0
    trace_id = inner[1] if kind == "run" and len(inner) > 1 else ""
    return kind, tenant, inner[0] if of_agent else "", trace_id
