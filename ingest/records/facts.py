"""What else reaches an agent's owner: files, orders, people's words, the brake; and all of it together."""

import msgspec

from ingest.records.answers import Judgement, Truth
from ingest.records.marks import NO_SRC, Src
from ingest.records.priors import Prior
from ingest.records.steps import Ack, Alive, Run, Step


class Registered(msgspec.Struct, tag="registered", gc=False, kw_only=True, omit_defaults=True):
    """A version of an agent's file comes into force. `payload` is the signed file as JSON, base64."""

    record_id: str
    tenant: str
    agent_id: str
    kid: str
    sig: bytes
    payload: bytes


class Ordered(msgspec.Struct, tag="ordered", gc=False, kw_only=True, omit_defaults=True):
    """A person forces a scope open or releases it. `payload` is the signed command, base64."""

    record_id: str
    tenant: str
    agent_id: str
    kid: str
    sig: bytes
    payload: bytes


class Decided(msgspec.Struct, tag="decided", gc=False, kw_only=True, omit_defaults=True):
    """A person answers a call that waits. `payload` is the signed `Decision`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    approval_id: str
    kid: str
    sig: bytes
    payload: bytes


class Reviewed(msgspec.Struct, tag="reviewed", gc=False, kw_only=True, omit_defaults=True):
    """A person judges an allowed call afterwards. `payload` is the signed `Review`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    trace_id: str
    call_id: str
    kid: str
    sig: bytes
    payload: bytes


class IncidentReviewed(
    msgspec.Struct, tag="incident_reviewed", gc=False, kw_only=True, omit_defaults=True
):
    """A person judges an incident. `payload` is the signed `IncidentReview`, base64 on the wire."""

    record_id: str
    tenant: str
    agent_id: str
    incident_id: str
    kid: str
    sig: bytes
    payload: bytes


class Braked(msgspec.Struct, tag="braked", gc=False, kw_only=True, omit_defaults=True):
    """Correlate brakes a tenant until a moment of record time, or lets it go (0): soft rules stop nobody."""

    src: Src = NO_SRC
    tenant: str
    until: float


class Decision(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs: yes or no to one call, this tool with these arguments."""

    approval_id: str
    tool: str
    args_hash: str
    approved: bool
    by: str
    reason: str = ""
    at: int = 0  # µs, the person's clock


class Review(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs afterwards: whether one call with these arguments was rightly allowed."""

    trace_id: str
    call_id: str
    tool: str
    args_hash: str
    label: Judgement
    by: str
    note: str = ""
    at: int = 0  # µs, the person's clock


class IncidentReview(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a person signs of an incident: whether the alarm behind it was right.

    `real`: something was wrong. `false`: nothing was. `expected`: a change, as told, and a wanted one.
    """

    incident_id: str
    signal_id: str
    detector: str
    label: Truth
    by: str
    reason: str
    at: int = 0  # µs, the person's clock


AgentFact = (
    Step | Run | Alive | Ack | Registered | Ordered | Decided | Reviewed | IncidentReviewed | Prior
)
Fact = AgentFact | Braked
# Computed from another topic's record; the rest is of people.
Derived = Step | Run | Alive | Ack | Braked | Prior
