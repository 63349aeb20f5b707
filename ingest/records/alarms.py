"""What was found, and the incidents that people handle."""

from typing import Any, Literal

import msgspec

from ingest.records.marks import NO_SRC, EvidenceClass, Src


class Signal(msgspec.Struct, tag="signal", gc=False, kw_only=True, omit_defaults=True):
    """A finding with its evidence; the alarm record of the detection catalogue."""

    src: Src = NO_SRC
    signal_id: str
    tenant: str
    agent_id: str
    trace_id: str = ""
    step_id: str = ""
    tool: str = ""
    detector: str
    evidence_class: EvidenceClass
    severity: Literal["info", "low", "medium", "high", "critical"]
    action: str  # suggested, a word of architecture §7
    status: Literal["cold", "shadow", "live", "metrics_only"] = "live"
    score: float = 0.0
    threshold: float = 0.0
    n: int = 0
    evidence: dict[str, Any] = {}
    sentence: str
    first_event: str = ""
    last_event: str = ""
    at: float  # record time, s
    scope: str = ""  # the breaker that it tripped, empty where it did not
    cmd_id: str = ""
    why: str = ""  # its severity is what it is
    owasp: list[str] = []  # ids of the agentic top 10
    atlas: list[str] = []  # techniques that would leave the same trace
    model: str = ""
    bundle: str = ""
    rank: float = 0.0  # its place among alarms of all detectors: severity, then certainty


class Acknowledged(msgspec.Struct, tag="ack", gc=False, kw_only=True, omit_defaults=True):
    """The control log's line for an obeyed command."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    cmd_id: str
    scope: str
    term: int = 0
    epoch: int = 0
    state: str = ""
    event_id: str
    applied_at: int
    at: float


class InForce(msgspec.Struct, tag="in_force", gc=False, kw_only=True, omit_defaults=True):
    """The control log's line for a version of an agent's file that came into force, with the signed file."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str
    version: int
    digest: str
    kid: str
    sig: bytes
    payload: bytes
    at: float  # record time, s


class Summary(msgspec.Struct, tag="summary", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: one trip or alarm of one agent, with its owner's routes."""

    src: Src = NO_SRC
    signal: Signal
    owner: str = ""
    routes: list[str] = []
    suspect: tuple[float, str, str] | None = None  # first evidence of the run: time, step, detector


class Census(msgspec.Struct, tag="census", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: agents at work in its partition, of the tenants whose count changed."""

    src: Src = NO_SRC
    active: dict[str, int]


class Reopened(msgspec.Struct, tag="reopened", gc=False, kw_only=True, omit_defaults=True):
    """What detect tells correlate: an agent that a soft rule had stopped failed its trial."""

    src: Src = NO_SRC
    tenant: str
    agent_id: str


AGENTS_TOLD = 64
"""Agents that one incident names: its sentence counts all."""


class Incident(msgspec.Struct, tag="incident", gc=False, kw_only=True, omit_defaults=True):
    """One trip or alarm as people handle it."""

    src: Src = NO_SRC
    incident_id: str
    tenant: str
    agent_id: str
    status: Literal["open", "resolved"] = "open"
    severity: str
    title: str
    sentence: str
    detector: str
    action: str
    scope: str = ""
    cmd_id: str = ""
    trace_id: str = ""
    signal_id: str
    first_event: str = ""
    last_event: str = ""
    owner: str = ""
    routes: list[str] = []
    why: str = ""  # its severity is what it is
    owasp: list[str] = []
    atlas: list[str] = []
    opened_at: float
    candidate_agent: str = (
        ""  # where the run may have gone wrong first (D36); empty without evidence
    )
    candidate_step: str = ""
    candidate_share: float = 0.0  # of the evidence in its trace
    node: str = (
        ""  # what many agents that alarm share (D35): `tool:`, `model:`, `bundle:`, `tenant:`
    )
    children: list[
        str
    ] = []  # incidents that a node's was made of; later ones name it as their parent
    parent: str = ""
    muted: bool = False  # stored, and told to nobody: its parent says it
    rank: float = 0.0  # its signal's: what to look at first
    agents: list[str] = []  # whom it is about, `AGENTS_TOLD` at most
