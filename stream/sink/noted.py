"""One row of what people are asked and say: of a call or an incident, side by side. Pure."""

from typing import Any

import msgspec

from ingest.records import IncidentLabel, Label, Outcome, Sampled, Src, Wanted


class Noted(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """What the approvals say of one record; what its kind doesn't have stays at its default."""

    record: str  # wanted, outcome, sampled, label, incident_label
    approval_id: str = ""
    tenant: str
    agent_id: str
    trace_id: str = ""
    call_id: str = ""
    tool: str = ""
    args_hash: str = ""
    decision_args: dict[str, Any] = {}
    user_id: str = ""
    task_type: str = ""
    rule: str = ""
    word: str = ""  # approved, refused, expired; right, wrong; real, false, expected
    person: str = ""
    text: str = ""  # why it was asked, or what the person said
    approvers: tuple[str, ...] = ()
    kid: str = ""
    said_at: int = 0
    at: float
    expires_at: float = 0.0
    incident_id: str = ""
    signal_id: str = ""
    detector: str = ""
    src: Src


def noted(record: Wanted | Outcome | Sampled | Label | IncidentLabel) -> Noted:
    """The row of a record.

    >>> row = noted(Label(
    ...     tenant="acme", agent_id="refunds", trace_id="0af7", call_id="c1", tool="crm.pay",
    ...     label="wrong", by="ann", note="a fee", said_at=1, at=2.0))
    >>> row.record, row.word, row.person, row.text
    ('label', 'wrong', 'ann', 'a fee')
    """
    if isinstance(record, IncidentLabel):
        return Noted(
            record="incident_label", tenant=record.tenant, agent_id=record.agent_id,
            incident_id=record.incident_id, signal_id=record.signal_id, detector=record.detector,
            word=record.label, person=record.by, text=record.reason, kid=record.kid,
            said_at=record.said_at, at=record.at, src=record.src,
        )  # fmt: skip
    call: dict[str, Any] = {
        "tenant": record.tenant, "agent_id": record.agent_id, "trace_id": record.trace_id,
        "call_id": record.call_id, "tool": record.tool, "args_hash": record.args_hash,
        "at": record.at, "src": record.src,
    }  # fmt: skip
    match record:
        case Wanted():
            return Noted(
                record="wanted", approval_id=record.approval_id, rule=record.rule,
                decision_args=record.decision_args, user_id=record.user_id,
                task_type=record.task_type, text=record.reason, approvers=tuple(record.approvers),
                expires_at=record.expires_at, **call,
            )  # fmt: skip
        case Outcome():
            return Noted(
                record="outcome", approval_id=record.approval_id, word=record.outcome,
                person=record.by, text=record.reason, kid=record.kid, **call,
            )  # fmt: skip
        case Sampled():
            return Noted(
                record="sampled", decision_args=record.decision_args, user_id=record.user_id,
                task_type=record.task_type, **call,
            )  # fmt: skip
        case Label():
            return Noted(
                record="label", word=record.label, person=record.by, text=record.note,
                kid=record.kid, said_at=record.said_at, **call,
            )  # fmt: skip
