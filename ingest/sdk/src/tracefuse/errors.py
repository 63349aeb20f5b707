"""Every error of the SDK, and to whom it speaks.

TracefuseError
  + Refused                 to the agent's author: the call did not run
  |   - CircuitOpen         a breaker of the call's scope is open
  |   - ToolDenied          a gate of the policy denied the call, or nobody answered in time
  |   - ApprovalRequired    a person has to agree first
  |   - Malformed           an input or output has not the form that was asked for
  - ConfigError             to the operator, at start: a setting is missing or wrong
  - DecodeError             to the pipeline: bytes that are no event; they go to the dead letters
"""


class TracefuseError(Exception):
    """Root of all errors raised by Tracefuse."""


class Refused(TracefuseError):
    """The call was refused before it ran; nothing happened outside."""


class CircuitOpen(Refused):
    """A breaker stands open for this call.

    Parameters
    ----------
    scope
        The scope that refused, for example ``agent:acme/refunds``.
    reason
        The rule that opened it, in words.
    cmd_id
        The command to ask about.
    """

    def __init__(self, scope: str, reason: str = "", cmd_id: str = ""):
        super().__init__(f"circuit open: {scope}" + (f" ({reason})" if reason else ""))
        self.scope = scope
        self.reason = reason
        self.cmd_id = cmd_id


class ToolDenied(Refused):
    """The policy denied this call, or gave no verdict in time.

    Parameters
    ----------
    tool
        The tool that was not called.
    reason
        In words.
    gate
        The gate that denied; empty where no verdict came.
    """

    def __init__(self, tool: str, reason: str = "", gate: str = ""):
        super().__init__(f"denied: {tool}" + (f" ({reason})" if reason else ""))
        self.tool = tool
        self.reason = reason
        self.gate = gate


class ApprovalRequired(Refused):
    """A person has to agree to this call. It may be tried again once somebody has.

    Parameters
    ----------
    tool
        The tool that was not called.
    approval_id
        What the person answers.
    reason
        The rule that asks for it, in words.
    """

    def __init__(self, tool: str, approval_id: str, reason: str = ""):
        super().__init__(f"needs approval: {tool}" + (f" ({reason})" if reason else ""))
        self.tool = tool
        self.approval_id = approval_id
        self.reason = reason


class Malformed(Refused):
    """An input or an output does not have the form that was asked for, and there is no fallback.

    Parameters
    ----------
    what
        ``input`` or ``output``.
    reason
        Where it differs.
    """

    def __init__(self, what: str, reason: str = ""):
        super().__init__(f"malformed {what}" + (f" ({reason})" if reason else ""))
        self.what = what
        self.reason = reason


class ConfigError(TracefuseError):
    """A setting is missing or wrong. Raised at start, to the operator, never while events flow."""


class DecodeError(TracefuseError):
    """Bytes that are not what they should be. The reason is one of a closed list, for counting."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
