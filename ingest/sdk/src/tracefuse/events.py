"""The event: what an agent did, thought or knew. One struct for the SDK, the gateway and OTLP.

Field names follow OpenTelemetry GenAI where it has one. The closed list of names lies in `NAMES`;
own names begin with ``x.``. Text never travels: hashes, fingerprints and sketches do.
"""

from typing import Annotated, Any, Literal

import msgspec

SCHEMA_VERSION = "1.0"

OPERATIONAL = (
    "run.start", "run.end", "llm.request", "llm.response", "tool.request", "tool.result",
    "handoff", "memory.read", "memory.write", "control.applied", "heartbeat",
)  # fmt: skip
COGNITIVE = ("plan", "thought", "reflection", "decision", "claim")
CONTEXTUAL = (
    "input.user", "input.system", "output", "retrieval", "state.before", "state.after",
    "limits.status", "bundle",
)  # fmt: skip
NAMES: dict[str, tuple[str, ...]] = {
    "operational": OPERATIONAL,
    "cognitive": COGNITIVE,
    "contextual": CONTEXTUAL,
}
KIND_OF = {name: kind for kind, names in NAMES.items() for name in names}

# What begins an action and what ends it; both carry the same `call_id`.
REQUESTS = ("tool.request", "llm.request")
RESULTS = ("tool.result", "llm.response")

# Classes of data that are no form of a text: a result whose owner calls it so, a value planted to be found.
CONFIDENTIAL = "confidential"
HONEYTOKEN = "honeytoken"

Kind = Literal["operational", "cognitive", "contextual"]
TraceId = Annotated[str, msgspec.Meta(min_length=32, max_length=32)]
SpanId = Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Fingerprint(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One telling token of a text: keyed hash (16 hex), class, field path, span in characters."""

    hash: str
    klass: str
    path: str
    start: int
    end: int


class Content(msgspec.Struct, gc=False, frozen=True):
    """Encrypted content, off by default: key id of the subject, nonce, ciphertext (base64)."""

    kid: str
    nonce: str
    data: str


class Event(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """One operational, cognitive or contextual event.

    Notes
    -----
    Times are µs UTC, durations µs, money USD. ``seq`` rises by one per producer (``boot_id``), so a
    gap is a loss. ``emitted_at`` is the agent's claim; the pipeline's time is the broker's.
    ``schema_version`` is left out on the wire while it is the current one.
    """

    event_id: Word
    kind: Kind
    name: Word
    trace_id: TraceId
    span_id: SpanId
    tenant: Word
    agent_id: Word
    boot_id: Word
    seq: int
    emitted_at: int
    schema_version: str = SCHEMA_VERSION
    # causality
    parent_span_id: str = ""
    call_id: str = ""
    # who
    environment: str = "dev"
    bundle: str = ""
    user_id: str = ""
    session_id: str = ""
    task_type: str = ""
    source: str = "agent"
    received_at: int = 0
    # measures
    tool: str = ""
    duration_us: int = 0
    status: str = ""
    error_type: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    confidence: float | None = None
    # evidence
    args_hash: str = ""
    result_hash: str = ""
    fingerprints: list[Fingerprint] = []
    fingerprints_cut: bool = False
    sketches: dict[str, Any] = {}
    decision_args: dict[str, Any] = {}
    verdict_seen: str = ""
    data_classes: list[str] = []
    model: str = ""
    prompt_hash: str = ""
    tools_hash: str = ""
    policy_hash: str = ""
    control_seen: dict[str, tuple[int, int]] = {}
    truncated: bool = False
    attrs: dict[str, Any] = {}
    content: Content | None = None
    # a held call: which asking this is, and how long it waits; 0 where it does not
    attempt: int = 0
    deadline_ms: int = 0
    approval_id: str = ""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Event).decode


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of the event."""
    return msgspec.json.schema(Event)
