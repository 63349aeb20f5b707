"""The breaker of one scope: what happened goes in, what must be commanded comes out. Pure.

    CLOSED ──trip──► OPEN ──wait over, auto_close──► HALF_OPEN ──probes clean──► CLOSED
       │              ▲                                  │
       │              └────── a bad or lost probe ───────┘     FORCED_OPEN: a person's word
       └──slow──► THROTTLED ──wait over──► CLOSED

`step(breaker, event, now, turn)` is the whole interface. `now` is the record's time in seconds and never
falls; `turn` is the record's offset, which orders commands even when a breaker was forgotten between.
"""

from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import Any, TypeVar
from zlib import crc32

T = TypeVar("T")


class State(Enum):
    """Values are the words of the control record."""

    CLOSED = "closed"
    THROTTLED = "throttled"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"

    def __reduce_ex__(self, protocol: object) -> tuple[type["State"], tuple[str]]:
        # By its value, as most Pythons do it: some of 3.11 name `getattr`, which no checkpoint may hold.
        return State, (self.value,)


WAIT = 30.0  # doubles with each trip (Envoy's base ejection time)
WAIT_MAX = 300.0  # Envoy's cap: nobody is away longer without a person looking
JITTER = 0.2  # of the wait, from hash(scope, epoch): a fleet must not come back at one moment
DOUBLINGS = (
    4  # enough for the cap; after days of trips the power itself would be too large a number
)
FORGIVE = 600.0  # so long closed, and the next trip waits short again
PROBES = 3
PROBE_TIMEOUT = 60.0  # resilience4j waits for ever by default; a lost probe must not
THROTTLE_MS = 500  # spacing of calls while throttled


@dataclass(frozen=True, slots=True)
class Tripped:
    """A rule fired. `auto_close` false: only a person ends it."""

    auto_close: bool


@dataclass(frozen=True, slots=True)
class Slowed:
    """Calls are to be spaced."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call began."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A call ended."""

    call_id: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A call that had begun was refused elsewhere and never ran."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class Forced:
    """A person stops the scope (`open`) or lets it try again."""

    open: bool


@dataclass(frozen=True, slots=True)
class Calm:
    """A scope whose probes nobody counts was tried for long enough."""


Event = Tripped | Slowed | Called | Ended | Withdrawn | Tick | Forced | Calm


def _by_name(self: Any) -> dict[str, Any]:
    return {name: getattr(self, name) for name in self.__slots__}


def _from_names(self: Any, state: dict[str, Any]) -> None:
    for name in self.__slots__:
        if name in state:
            object.__setattr__(self, name, state[name])


def _kept_by_name(kind: type[T]) -> type[T]:
    """What `dataclass` gives to frozen slots goes by place, and another build has others in between.

    Put on last: some Pythons of 3.11 let `dataclass` replace what the class itself defines.
    """
    kind.__getstate__, kind.__setstate__ = _by_name, _from_names  # type: ignore[method-assign, attr-defined]
    return kind


@_kept_by_name
@dataclass(frozen=True, slots=True)
class Breaker:
    """One scope. Bounded: at most `PROBES` call ids."""

    scope: str
    state: State = State.CLOSED
    epoch: int = 0  # rises with each change of state; orders commands
    since: float = 0.0
    trips: int = 0
    auto_close: bool = True
    out: tuple[tuple[str, float], ...] = ()  # probes on their way: call id, start
    clean: int = 0

    @property
    def wait(self) -> float:
        """Seconds from the latest trip to the first probe, jitter included."""
        wait = min(WAIT * 2.0 ** min(max(0, self.trips - 1), DOUBLINGS), WAIT_MAX)
        share = crc32(f"{self.scope}/{self.epoch}".encode()) / 0xFFFF_FFFF
        return wait * (1 + JITTER * (2 * share - 1))

    @property
    def deadline(self) -> float:
        """Record time at which a tick changes something; infinity if none does."""
        if self.state is State.CLOSED:  # nearly always
            return inf
        if self.state is State.THROTTLED or (self.state is State.OPEN and self.auto_close):
            return self.since + self.wait
        if self.state is State.HALF_OPEN and self.out:
            return min(start for _, start in self.out) + PROBE_TIMEOUT
        return inf

    @property
    def stopped(self) -> bool:
        """Whether no call of the scope should run."""
        return self.state in (State.OPEN, State.FORCED_OPEN)


def step(breaker: Breaker, event: Event, now: float, turn: int) -> Breaker:
    """Next breaker; a higher `epoch` means that a command must go out."""
    match breaker.state, event:
        case State.FORCED_OPEN, Forced(open=True):
            return breaker
        case _, Forced(open=True):
            return _to(State.FORCED_OPEN, breaker, now, turn)
        case ((State.OPEN | State.FORCED_OPEN), Forced(open=False)):
            return _to(State.HALF_OPEN, breaker, now, turn)  # never straight to closed
        case ((State.CLOSED | State.THROTTLED), Tripped()):
            return _trip(replace(breaker, auto_close=event.auto_close), now, turn)
        case State.HALF_OPEN, Tripped():  # like a bad probe: what a person had to end stays so
            softer = breaker.auto_close and event.auto_close
            return _trip(replace(breaker, auto_close=softer), now, turn)
        case State.OPEN, Tripped(auto_close=False) if breaker.auto_close:
            return replace(breaker, auto_close=False)  # a harder reason: it stays until released
        case State.CLOSED, Slowed():
            return _to(State.THROTTLED, _counted(breaker, now), now, turn)
        case _, Tick() if now >= breaker.deadline:
            return _passed(breaker, now, turn)
        case State.HALF_OPEN, Called() if _may_probe(breaker, event.call_id):
            return replace(breaker, out=(*breaker.out, (event.call_id, now)))
        case State.HALF_OPEN, Ended() if event.call_id in dict(breaker.out):
            return _probed(breaker, event, now, turn)
        case State.HALF_OPEN, Calm():
            return _to(State.CLOSED, replace(breaker, auto_close=True), now, turn)
        case State.HALF_OPEN, Withdrawn() if event.call_id in dict(breaker.out):
            return replace(breaker, out=_without(breaker, event.call_id))  # another may try
    return breaker  # also: calls that began before the trip tell nothing new


def _may_probe(breaker: Breaker, call_id: str) -> bool:
    return len(breaker.out) + breaker.clean < PROBES and call_id not in dict(breaker.out)


def _passed(breaker: Breaker, now: float, turn: int) -> Breaker:
    if breaker.state is State.OPEN:
        return _to(State.HALF_OPEN, breaker, now, turn)
    if breaker.state is State.THROTTLED:
        return _to(State.CLOSED, breaker, now, turn)
    return _trip(breaker, now, turn)  # a lost probe; without a probe it stays half open


def _probed(breaker: Breaker, probe: Ended, now: float, turn: int) -> Breaker:
    if probe.failed:
        return _trip(breaker, now, turn)
    clean = breaker.clean + 1
    if clean == PROBES:
        return _to(State.CLOSED, replace(breaker, auto_close=True), now, turn)
    return replace(breaker, clean=clean, out=_without(breaker, probe.call_id))


def _without(breaker: Breaker, call_id: str) -> tuple[tuple[str, float], ...]:
    return tuple(out for out in breaker.out if out[0] != call_id)


def _trip(breaker: Breaker, now: float, turn: int) -> Breaker:
    return _to(State.OPEN, _counted(breaker, now), now, turn)


def _counted(breaker: Breaker, now: float) -> Breaker:
    calm = breaker.state is State.CLOSED and now - breaker.since >= FORGIVE
    return replace(breaker, trips=1 if calm else breaker.trips + 1)


def _to(state: State, breaker: Breaker, now: float, turn: int) -> Breaker:
    epoch = max(breaker.epoch + 1, turn)
    return replace(breaker, state=state, since=now, epoch=epoch, out=(), clean=0)
