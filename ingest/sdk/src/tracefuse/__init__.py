"""Tracefuse, the fuse box for AI agents: events out, circuit-breaker commands in.

fuse = tracefuse.init(agent="refunds")
with fuse.trace(task="refund") as trace:
    with trace.tool("crm.refund", {"order": 991}) as call:
        call.result(crm.refund(991))
"""

from tracefuse.calls import Call
from tracefuse.credentials import Credential
from tracefuse.errors import (
    ApprovalRequired,
    CircuitOpen,
    ConfigError,
    DecodeError,
    Malformed,
    Refused,
    ToolDenied,
    TracefuseError,
)
from tracefuse.fuse import Fuse
from tracefuse.propagation import carry, extract, inject
from tracefuse.start import init
from tracefuse.tracing import Trace

__all__ = [
    "init", "Credential", "Fuse", "Trace", "Call",
    "carry", "extract", "inject",
    "TracefuseError", "Refused", "CircuitOpen", "ToolDenied", "ApprovalRequired", "Malformed", "ConfigError",
    "DecodeError",
]  # fmt: skip
