"""Calls that wait for a person: asked, answered once in time by somebody who may, or expired. Pure.

    needs_approval ──► Wanted ──┬─ a signed yes  ──► the call may be asked for again, once
                                ├─ a signed no   ──► refused
                                └─ nobody in time ─► expired; the owner hears of it at half time

An agreement is bound to the tool and to the hash of its arguments, and every gate is asked again when it
is used: a person agrees to a call, not to a way around the others.
"""

import msgspec

from ingest.agent_file import AgentFile
from ingest.records import Decided, Decision, Outcome, Src, Step, Wanted
from stream.agent.agent_state import AgentState
from stream.agent.agreements import Pending
from stream.agent.spoken import opened
from stream.holding.policy import Ruling
from tracefuse.signing import CommandVerifier
from tracefuse.verdicts import Verdict

PENDING_MAX = 256  # calls of one agent that wait for a person; the oldest is refused by expiry
EXPIRES_SECONDS = 900.0  # where no rule says more: autonomy 1
ESCALATES_AT = 0.5  # of the time: then somebody else should hear of it
_decode = msgspec.json.Decoder(Decision).decode


def record_key(approval_id: str) -> str:
    """What a decision is signed together with."""
    return f"approval:{approval_id}"


def pending(file: AgentFile, step: Step, ruling: Ruling, approval_id: str, now: float) -> Pending:
    """What is remembered of a call until somebody answers."""
    assert step.held is not None
    rule = next((one for one in file.approvals if one.name == ruling.rule), None)
    seconds = rule.expires_s if rule is not None else EXPIRES_SECONDS
    return Pending(
        approval_id=approval_id, tool=step.tool, args_hash=step.args_hash, trace_id=step.trace_id,
        call_id=step.call_id, requester=step.user_id,
        approvers=rule.approvers if rule is not None else (), expires=now + seconds,
        escalates=now + seconds * ESCALATES_AT, reply_to=step.held.reply_to, kid=step.held.kid,
    )  # fmt: skip


def wanted(one: Pending, step: Step, ruling: Ruling, src: Src, now: float) -> Wanted:
    """The request as people read it."""
    return Wanted(
        src=src, approval_id=one.approval_id, tenant=step.tenant, agent_id=step.agent_id,
        trace_id=step.trace_id, call_id=step.call_id, tool=step.tool, args_hash=step.args_hash,
        decision_args=step.decision_args, user_id=step.user_id, task_type=step.task_type,
        rule=ruling.rule, reason=ruling.reason, approvers=list(one.approvers),
        at=round(now, 3), expires_at=round(one.expires, 3),
    )  # fmt: skip


def decide(
    one: Pending | None, fact: Decided, verifier: CommandVerifier, now: float
) -> Decision | str:
    """The decision of a fact, or in words why it is none."""
    decision = opened(fact, record_key(fact.approval_id), _decode, verifier)
    if isinstance(decision, str):
        return decision
    if one is None or decision.approval_id != one.approval_id:
        return "nothing waits for it: it was answered, has expired, or never was asked"
    if (decision.tool, decision.args_hash) != (one.tool, one.args_hash):
        return "it is about another call"
    if now > one.expires:
        return "it came too late"
    if one.approvers and decision.by not in one.approvers:
        return f"{decision.by} may not decide this"
    if decision.by == one.requester:
        return "who asked may not decide"
    return decision


def note(agent: AgentState, one: Pending, word: str, by: str, reason: str, src: Src) -> Verdict:
    """What the process that waits is told: after a yes it asks again, under the approval's own name."""
    said = f"{word} by {by}" if by else word
    return Verdict(
        call_id=one.approval_id, attempt=0, tenant=agent.tenant, agent_id=agent.agent_id,
        trace_id=one.trace_id, boot_id=one.reply_to,
        word="allow" if word == "approved" else "deny", gate="approvals",
        reason=f"{said}: {reason}" if reason else said, approval_id=one.approval_id, src=src,
    )  # fmt: skip


def outcome(
    one: Pending, word: str, src: Src, now: float, by: str = "", reason: str = "", kid: str = ""
) -> Outcome:
    """How it ended, for the record."""
    tenant, agent_id = one.kid.split("/")[:2]
    return Outcome(
        src=src, approval_id=one.approval_id, tenant=tenant, agent_id=agent_id,
        trace_id=one.trace_id, call_id=one.call_id, tool=one.tool, args_hash=one.args_hash,
        outcome=word, by=by, reason=reason, kid=kid, at=round(now, 3),
    )  # fmt: skip
