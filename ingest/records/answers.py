"""What the owner writes of approvals, samples and labels."""

from typing import Any, Literal

import msgspec

from ingest.records.marks import NO_SRC, Src

Judgement = Literal["right", "wrong"]
Truth = Literal["real", "false", "expected"]


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
