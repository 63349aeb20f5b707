"""What an agent's owner remembers of people's answers: calls that wait for one, and what was agreed. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Pending:
    """One call that waits. `escalates` is infinity once that has been told."""

    approval_id: str
    tool: str
    args_hash: str
    trace_id: str
    call_id: str
    requester: str
    approvers: tuple[str, ...]
    expires: float
    escalates: float
    reply_to: str
    kid: str

    @property
    def deadline(self) -> float:
        return min(self.expires, self.escalates)


@dataclass(slots=True)
class Agreed:
    """A person's yes to one call: this tool with these arguments, once, until record time `expires`."""

    tool: str
    args_hash: str
    expires: float

    def fits(self, tool: str, args_hash: str, now: float) -> bool:
        """Whether it is this very call, and in time."""
        return (self.tool, self.args_hash) == (tool, args_hash) and now <= self.expires
