"""What an agent's owner remembers of people's words: calls that wait, agreements, reviews, alarms. Pure."""

from dataclasses import dataclass, field
from math import inf


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
    agreed: dict[str, float] = field(default_factory=dict)  # who said yes before; see `Agreed.by`

    @property
    def deadline(self) -> float:
        return min(self.expires, self.escalates)


@dataclass(slots=True)
class Agreed:
    """A yes to one call: this tool with these arguments, once, until record time `expires`.

    `by` names who agreed, and until when that counts: several where several rules name different people.
    """

    tool: str
    args_hash: str
    expires: float
    by: dict[str, float] = field(default_factory=dict)

    def fits(self, tool: str, args_hash: str, now: float) -> bool:
        """Whether it is this very call, and in time."""
        return (self.tool, self.args_hash) == (tool, args_hash) and now <= self.expires

    def covers(self, approvers: tuple[str, ...], now: float) -> bool:
        """Whether one of those agreed whom a rule names; anybody's yes will do where it names nobody."""
        return not approvers or any(now <= self.by.get(name, -inf) for name in approvers)


@dataclass(slots=True)
class Sampling:
    """One allowed call that people may judge; `judged`: the time (µs) of each person's newest word."""

    trace_id: str
    call_id: str
    tool: str
    args_hash: str
    requester: str
    judged: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Alarm:
    """One alarm that people were told of; `label`: the newest word on it, `judged` as above."""

    detector: str
    label: str = ""
    judged: dict[str, int] = field(default_factory=dict)
