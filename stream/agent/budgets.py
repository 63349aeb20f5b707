"""Money and tokens of one agent: what was spent, what is set aside for calls under way, what is left. Pure.

    request ──room?──► reserve ──┬─ completed ──► settle: the reservation goes, the cost is counted
                                 ├─ not run  ───► release
                                 └─ timeout  ───► release, by record time; if it ends after all: settle

What is reserved is the most that the registry lets one call cost, never the agent's estimate. Whole
millionths of a dollar, so that sums are exact and a replay gives the same.
"""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from ingest.agent_file import AgentFile, Budgets

MICRO = 1_000_000
HOUR_SECONDS, DAY_SECONDS = 3600.0, 86_400.0
RESERVED_MAX = 4096  # calls on their way; one more is denied, not forgotten
OVERDUE_MAX = 256  # calls that outlasted their time; what they cost counts once they end
_AMOUNT_MAX = 10**12  # as in the detectors: no true amount


class Amount(NamedTuple):
    """Millionths of a US dollar, and tokens."""

    micro: int = 0
    tokens: int = 0

    def plus(self, other: "Amount") -> "Amount":
        return Amount(self.micro + other.micro, self.tokens + other.tokens)

    def minus(self, other: "Amount") -> "Amount":
        return Amount(self.micro - other.micro, self.tokens - other.tokens)


NOTHING = Amount()


@dataclass(slots=True)
class Reservation:
    """Set aside for one call of a run, until record time `expires`."""

    trace_id: str
    amount: Amount
    expires: float


@dataclass(slots=True)
class Period:
    """Spent within the current hour or day; begins anew with the next one, UTC."""

    seconds: float
    number: int = -1
    spent: Amount = field(default_factory=Amount)

    def at(self, now: float) -> Amount:
        """Spent so far in the period of `now`."""
        return self.spent if int(now // self.seconds) <= self.number else NOTHING

    def add(self, amount: Amount, now: float) -> None:
        number = int(now // self.seconds)
        if number > self.number:
            self.number, self.spent = number, amount
        else:
            self.spent = self.spent.plus(amount)


def _hour() -> Period:
    return Period(HOUR_SECONDS)


def _day() -> Period:
    return Period(DAY_SECONDS)


@dataclass(slots=True)
class Ledger:
    """One agent's account. Bounded: `RESERVED_MAX` reservations and the open runs.

    Examples
    --------
    >>> ledger, caps = Ledger(), Budgets(run_usd=0.03)
    >>> for call in ("a", "b", "c", "d"):
    ...     lacking = ledger.lacks("run", caps, Amount(10_000), now=0.0)
    ...     print(lacking or ledger.reserve(call, "run", Amount(10_000), expires=60.0))
    None
    None
    None
    run_usd
    """

    reserved: dict[str, Reservation] = field(default_factory=dict)
    aside: Amount = field(default_factory=Amount)  # of all reservations together
    aside_in: dict[str, Amount] = field(default_factory=dict)  # by run
    runs: dict[str, Amount] = field(default_factory=dict)  # spent
    hour: Period = field(default_factory=_hour)
    day: Period = field(default_factory=_day)
    deadline: float = inf
    """Record time at which something may expire, no later than the next expiry."""
    overdue: dict[str, Amount] = field(default_factory=dict)  # was set aside, and expired

    def lacks(self, trace_id: str, caps: Budgets, amount: Amount, now: float) -> str:
        """Name of the first budget that `amount` would overdraw, with all that is on its way; or empty."""
        if len(self.reserved) >= RESERVED_MAX:
            return "calls on their way"
        here = self.aside_in.get(trace_id, NOTHING)
        spans = (
            ("call", NOTHING),
            ("run", self.runs.get(trace_id, NOTHING).plus(here)),
            ("hour", self.hour.at(now).plus(self.aside)),
            ("day", self.day.at(now).plus(self.aside)),
        )
        for name, used in spans:
            usd, tokens = getattr(caps, f"{name}_usd"), getattr(caps, f"{name}_tokens")
            if usd and used.micro + amount.micro > round(usd * MICRO):
                return f"{name}_usd"
            if tokens and used.tokens + amount.tokens > tokens:
                return f"{name}_tokens"
        return ""

    def reserve(self, call: str, trace_id: str, amount: Amount, expires: float) -> None:
        """Set an amount aside for a call, until it settles, is released, or `expires` has passed."""
        self.release(call)
        self.reserved[call] = Reservation(trace_id, amount, expires)
        self.aside = self.aside.plus(amount)
        self.aside_in[trace_id] = self.aside_in.get(trace_id, NOTHING).plus(amount)
        self.deadline = min(self.deadline, expires)

    def release(self, call: str) -> Amount:
        """The call did not run, or has ended; what was set aside for it."""
        self.overdue.pop(call, None)
        held = self.reserved.pop(call, None)
        if held is None:
            return NOTHING
        self.aside = self.aside.minus(held.amount)
        left = self.aside_in.get(held.trace_id, NOTHING).minus(held.amount)
        if left == NOTHING:
            self.aside_in.pop(held.trace_id, None)
        else:
            self.aside_in[held.trace_id] = left
        if not self.reserved:
            self.deadline = inf
        return held.amount

    def settle(self, call: str, trace_id: str, cost_usd: float, tokens: int, now: float) -> None:
        """The call has ended: what it cost counts, held or not.

        Where nothing credible is claimed, all that was set aside counts, also of a call that outlasted its
        time: else an agent that tells no costs would have no budget.
        """
        late = self.overdue.get(call)
        least = self.release(call)
        if late is not None:
            least = least.plus(late)
        micro = round(cost_usd * MICRO) if 0 < cost_usd <= _AMOUNT_MAX else least.micro
        spent = Amount(micro, tokens if 0 < tokens <= _AMOUNT_MAX else least.tokens)
        if spent == NOTHING:
            return
        self.runs[trace_id] = self.runs.get(trace_id, NOTHING).plus(spent)
        self.hour.add(spent, now)
        self.day.add(spent, now)

    def expire(self, now: float) -> None:
        """Release what is set aside for calls that nobody has heard of any more."""
        if now < self.deadline:
            return
        for call in [call for call, one in self.reserved.items() if one.expires <= now]:
            amount = self.release(call)
            if amount != NOTHING:
                self.overdue[call] = amount
            if len(self.overdue) > OVERDUE_MAX:
                del self.overdue[next(iter(self.overdue))]
        self.deadline = min((one.expires for one in self.reserved.values()), default=inf)

    def forget(self, trace_id: str) -> None:
        """A run has ended, or was evicted; its calls on their way expire by themselves."""
        self.runs.pop(trace_id, None)


def most(file: AgentFile, tool: str) -> Amount:
    """The most that one call of a tool may cost: its own maximum, else the budget of any call.

    >>> most(AgentFile("refunds", budgets=Budgets(call_usd=0.5)), "crm.pay")
    Amount(micro=500000, tokens=0)
    """
    declared = file.tools.get(tool)
    usd = (declared.max_usd if declared else 0.0) or file.budgets.call_usd
    tokens = (declared.max_tokens if declared else 0) or file.budgets.call_tokens
    return Amount(round(usd * MICRO), tokens)
