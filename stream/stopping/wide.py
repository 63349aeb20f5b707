"""Breakers of scopes that are wider than one agent, and what people say of them. Pure.

    person's word ──► CLOSED ──stop──► FORCED_OPEN ──release──► HALF_OPEN ──60 s──► CLOSED

Their probes are not counted: each gate lets a few calls through, and each agent's own breakers judge them.
"""

from dataclasses import dataclass, field
from math import inf

from ingest.records import Src
from stream.agent.breaker import PROBES, Breaker, Calm, Event, Forced, State, Tick, step
from tracefuse import people
from tracefuse.control import WIDE, Command, Reason
from tracefuse.people import Signed
from tracefuse.signing import CommandVerifier

# So long a scope is tried before it closes; agents' own breakers trip within it.
CALM_SECONDS = 60.0
# How far the clocks of a person's machine and the broker may differ when an expiry is judged.
SKEW_SECONDS = 30.0
# People stop a few; beyond it the one spoken of longest ago goes.
SCOPES_MAX = 1000


@dataclass(slots=True)
class WideState:
    """One wide scope: its breaker, and the epoch of the last order, which no older one follows."""

    breaker: Breaker
    ordered: int = 0
    last: int = 0
    deadline: float = field(default=inf)

    def arm(self) -> None:
        """Set the timer to when time alone changes something."""
        if self.breaker.state is State.HALF_OPEN:
            self.deadline = self.breaker.since + CALM_SECONDS
        else:
            self.deadline = self.breaker.deadline


def fresh(scope: str) -> WideState:
    """A scope of which nobody has spoken."""
    return WideState(Breaker(scope))


def order(signed: Signed, verifier: CommandVerifier, now: float) -> Command | None:
    """A person's command about a wide scope; None for what nobody may say, or no longer.

    A stop is obeyed however old. `now` is record time in seconds.
    """
    try:
        command = people.opened(verifier, signed)
    except ValueError:
        return None
    if command.scope.partition(":")[0] not in WIDE:
        return None
    if command.state not in ("forced_open", "half_open"):
        return None
    return None if command.state == "half_open" and expired(command, now) else command


def expired(command: Command, now: float) -> bool:
    """Whether the time of a person's command is over. `now` is record time in seconds."""
    return bool(command.expires_at) and now > command.expires_at / 1e6 + SKEW_SECONDS


def obey(state: WideState, command: Command, now: float, turn: int) -> bool:
    """Let a person's order act; whether a command follows. What is not newer than the last one is old."""
    if command.epoch <= state.ordered:
        return False
    state.ordered = command.epoch
    return _advance(state, Forced(command.state == "forced_open"), now, turn)


def passed(state: WideState, now: float, turn: int) -> bool:
    """Let due time act; whether a command follows."""
    tried = state.breaker.state is State.HALF_OPEN
    return _advance(state, Calm() if tried else Tick(), now, turn)


def _advance(state: WideState, event: Event, now: float, turn: int) -> bool:
    before, state.breaker = state.breaker, step(state.breaker, event, now, turn)
    state.arm()
    return state.breaker.epoch != before.epoch


def command(state: WideState, reason: Reason | None, src: Src) -> Command:
    """What the scope is told now."""
    breaker = state.breaker
    return Command(
        cmd_id=f"wide-{src[2]}.{src[3]}.{src[4]}", scope=breaker.scope, author="auto",
        action="open" if breaker.stopped else "log", state=breaker.state.value,
        epoch=breaker.epoch, reason=reason or Reason(rule=f"breaker.{breaker.state.value}"),
        src=src, probes=PROBES if breaker.state is State.HALF_OPEN else 0,
    )  # fmt: skip
