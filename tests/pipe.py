"""The pure cores of join and detect behind each other, with logs of their own and time turned by hand.

`Pipe` is a broker of two topics and a worker that never fails; tests that kill keep its logs and feed
them to cores of their own. `Told` makes the events of one agent's process as an SDK would.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from ingest import codec
from ingest.records import (
    Acknowledged,
    AgentFact,
    Census,
    DeadLetter,
    Fact,
    Hindered,
    Learned,
    Ordered,
    Registered,
    Reopened,
    Signal,
    Step,
    Summary,
)
from ingest.registry import AgentFile
from ingest.topics import CONTROL_LOG, DLQ, EVENTS, FLEET, INBOX, QUARANTINE, SIGNALS
from stream.detect.detect import Detect
from stream.detect.registering import sealed
from stream.join.join import Join
from stream.outputs import Forget, Line, Order, Output
from tracefuse import control, wire
from tracefuse.control import Command, Reason
from tracefuse.credentials import envelope_key
from tracefuse.events import KIND_OF, Event
from tracefuse.events import encode as encode_event
from tracefuse.signing import CommandSigner, CommandVerifier, envelope_mac

MASTER = b"m" * 32
TENANT, AGENT = "acme", "refunds"
TRACE = "0af7651916cd43dd8448eb211c80319c"
HUMAN = CommandSigner("human/1", b"h" * 32)
AUTO = CommandSigner("auto/1", b"a" * 32)
REGISTRY = CommandSigner("registry/1", b"r" * 32)
VERIFIER = CommandVerifier({signer.kid: signer.public for signer in (HUMAN, AUTO, REGISTRY)})
START = 1_795_000_000.0  # record time at which tests begin, s
TICK = 0.5

_ids = count(1)
T = TypeVar("T")


class Record(NamedTuple):
    """One record of a log: what a core's `apply` takes."""

    offset: int
    timestamp: float
    headers: wire.Headers
    value: bytes


class Told:
    """One agent's process within one trace: its events in its own order, ids that never repeat."""

    def __init__(
        self,
        agent_id: str = AGENT,
        trace_id: str = TRACE,
        boot_id: str = "b1",
        tenant: str = TENANT,
    ):
        self.agent_id, self.trace_id, self.boot_id, self.tenant = (
            agent_id, trace_id, boot_id, tenant,
        )  # fmt: skip
        self.seq = 0
        self._mark = crc32(f"{agent_id}/{boot_id}".encode())

    def __call__(self, name: str, **more: Any) -> Event:
        self.seq += 1
        whole: dict[str, Any] = {
            "event_id": event_id(next(_ids)), "kind": KIND_OF.get(name, "contextual"), "name": name,
            "trace_id": self.trace_id, "span_id": f"{self._mark:08x}{self.seq:08x}", "tenant": self.tenant,
            "agent_id": self.agent_id, "boot_id": self.boot_id, "seq": self.seq,
            "emitted_at": 1_795_000_000_000_000 + self.seq,
        }  # fmt: skip
        return Event(**(whole | more))

    def call(self, n: int, tool: str = "crm.find", **more: Any) -> list[Event]:
        """Request and result of call number `n`; each number has arguments and a result of its own."""
        said: dict[str, Any] = {"call_id": f"call-{n}", "tool": tool, "args_hash": f"args-{n}"}
        asked = said | {k: more[k] for k in ("args_hash", "call_id") if k in more}
        answered = said | {"result_hash": f"result-{n}", "status": "ok", "duration_us": 1000}
        return [self("tool.request", **asked), self("tool.result", **(answered | more))]

    def same(self, **more: Any) -> list[Event]:
        """A call with arguments and result that are always the same; only the call is another."""
        n = next(_ids)
        return self.call(n, args_hash="same", result_hash="same", **more)


def event_id(number: int) -> str:
    """A UUIDv7 that a test can name."""
    return f"01890000-0000-7000-8000-{number:012x}"


def trace_id(number: int) -> str:
    """A trace id that a test can name."""
    return f"{number:016x}{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


def envelope(
    lines: Iterable[Event | bytes],
    tenant: str = TENANT,
    agent_id: str = AGENT,
    spooled: bool = False,
    generation: int = 1,
    master: bytes = MASTER,
) -> tuple[wire.Headers, bytes]:
    """Headers and value of one record, proved by the agent's credential."""
    value = codec.envelope([e if isinstance(e, bytes) else encode_event(e) for e in lines])
    kid = f"{tenant}/{agent_id}/{generation}"
    mac = envelope_mac(envelope_key(master, tenant, agent_id, generation), kid, spooled, value)
    headers = [(wire.KIND, codec.EVENTS), (wire.KID, kid.encode()), (wire.MAC, mac)]
    return headers + ([(wire.SPOOLED, b"1")] if spooled else []), value


def ordered(
    scope: str,
    state: str = "forced_open",
    signer: CommandSigner = HUMAN,
    cmd_id: str = "h1",
    tenant: str = TENANT,
    agent_id: str = AGENT,
    expires_at: int = 0,
    **more: Any,
) -> Ordered:
    """A person's signed word as it stands in the inbox; each is newer than those made before it."""
    command = Command(
        cmd_id=cmd_id, scope=scope, author="human", action="open", state=state,  # type: ignore[arg-type]
        epoch=next(_ids), reason=Reason(rule="human", text="because"), expires_at=expires_at,
    )  # fmt: skip
    payload = control.encode(command)
    said = {
        "record_id": cmd_id, "tenant": tenant, "agent_id": agent_id, "kid": signer.kid,
        "sig": signer.sign(control.control_key(scope, "human"), payload), "payload": payload,
    }  # fmt: skip
    return Ordered(**(said | more))


def file(agent_id: str = AGENT, **more: Any) -> AgentFile:
    """An agent's file as its owner declares it."""
    return msgspec.convert({"agent": agent_id, "tenant": TENANT, **more}, AgentFile)


def registered(agent_id: str = AGENT, **more: Any) -> Registered:
    """A version of an agent's file as it stands in the inbox, signed."""
    return sealed(file(agent_id, **more), REGISTRY)


class Pipe:
    """Two topics and their cores. Every method returns what was decided meanwhile.

    Examples
    --------
    >>> pipe, refunds = Pipe(), Told()
    >>> _ = pipe.tell(registered())
    >>> told = [pipe.send(*refunds.same()) for _ in range(4)]
    >>> [[command.state for command in commands(out)] for out in told]
    [[], [], [], ['open']]
    """

    def __init__(self, now: float = START):
        self.now = now
        self.joins: dict[int, Join] = {}
        self.detects: dict[int, Detect] = {}
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self.facts: list[Line] = []  # all that join has said
        self.out: list[Output] = []  # all that detect has said

    # -- the world -------------------------------------------------------------------------------

    def send(self, *lines: Event | bytes, spooled: bool = False, **whose: Any) -> list[Output]:
        """One record of events of one agent and one trace."""
        event = next(line for line in lines if isinstance(line, Event))
        whose = {"tenant": event.tenant, "agent_id": event.agent_id, **whose}
        headers, value = envelope(lines, spooled=spooled, **whose)
        key = wire.trace_key(event.tenant, event.trace_id)
        return self.put(wire.partition_of(key), headers, value)

    def put(self, number: int, headers: wire.Headers, value: bytes) -> list[Output]:
        """One record of `agent.events.v1`, however it looks."""
        join = self.joins.setdefault(number, Join(number, MASTER))
        return self._reached(join.apply(*self._log(EVENTS, number, headers, value)))

    def _reached(self, lines: list[Line]) -> list[Output]:
        """What join says reaches the owners of its agents."""
        self.facts += lines
        boxes: dict[int, list[bytes]] = {}
        for line in lines:
            if line.topic == INBOX:
                boxes.setdefault(wire.partition_of(line.key), []).append(line.value)
        return [out for box, found in boxes.items() for out in self.inbox(box, b"\n".join(found))]

    def tell(self, *facts: AgentFact) -> list[Output]:
        """Facts that people or other stages write into the inbox."""
        out: list[Output] = []
        for fact in facts:
            box = wire.partition_of(wire.agent_key(fact.tenant, fact.agent_id))
            out += self.inbox(box, codec.encode(fact))
        return out

    def inbox(self, number: int, value: bytes, kind: bytes = codec.INBOX) -> list[Output]:
        """One record of `agent.inbox.v1`."""
        detect = self.detects.setdefault(number, Detect(number, VERIFIER))
        out = detect.apply(*self._log(INBOX, number, [(wire.KIND, kind)], value))
        self.out += out
        return out

    def wait(self, seconds: float) -> list[Output]:
        """Time passes with its ticks, twice a second."""
        out: list[Output] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + TICK, until)
            out += self.tick()
        return out

    def jump(self, seconds: float) -> list[Output]:
        """Time passes without ticks, as when the pipeline stands still; then one comes."""
        self.now += seconds
        return self.tick()

    def tick(self) -> list[Output]:
        """A tick in every partition."""
        out: list[Output] = []
        for number, join in self.joins.items():
            tick = self._log(EVENTS, number, [(wire.KIND, codec.TICK)], b"{}")
            out += self._reached(join.apply(*tick))
        for number in self.detects:
            out += self.inbox(number, b"{}", codec.TICK)
        return out

    def _log(self, topic: str, number: int, headers: wire.Headers, value: bytes) -> Record:
        log = self.logs.setdefault((topic, number), [])
        log.append(Record(len(log), self.now, headers, value))
        return log[-1]

    # -- what was said ---------------------------------------------------------------------------

    def steps(self) -> dict[str, Step]:
        """The newest word on every step, by its id: the highest revision, then the latest."""
        last: dict[str, Step] = {}
        facts: list[Fact] = found(self.facts, INBOX, Fact)
        for step in (fact for fact in facts if isinstance(fact, Step)):
            known = last.get(step.step_id)
            if known is None or step.revision >= known.revision:
                last[step.step_id] = step
        return last

    def dead(self, topic: str = DLQ) -> list[DeadLetter]:
        """What join has set aside."""
        return found(self.facts, topic, DeadLetter)


def found(outputs: Sequence[Output], topic: str, kind: type[T] | Any) -> list[T]:
    """Lines of a topic, decoded."""
    lines = [out.value for out in outputs if isinstance(out, Line) and out.topic == topic]
    return [msgspec.json.decode(line, type=kind) for line in lines]


def commands(outputs: Sequence[Output]) -> list[Command]:
    """Commands in order."""
    return [out.command for out in outputs if isinstance(out, Order)]


def signals(outputs: Sequence[Output]) -> list[Signal]:
    """Findings in order."""
    return found(outputs, SIGNALS, Signal)


def summaries(outputs: Sequence[Output]) -> list[Summary]:
    """Trips and alarms that correlate was told of, in order."""
    told = found(outputs, FLEET, Summary | Census | Reopened | Learned | Hindered)
    return [fact for fact in told if isinstance(fact, Summary)]


def acknowledged(outputs: Sequence[Output]) -> list[Acknowledged]:
    """Lines of the control log."""
    return found(outputs, CONTROL_LOG, Acknowledged)


def forgotten(outputs: Sequence[Output]) -> list[str]:
    """Control records that get a tombstone."""
    return [out.key for out in outputs if isinstance(out, Forget)]


__all__ = [
    "AGENT", "AUTO", "DLQ", "HUMAN", "MASTER", "QUARANTINE", "START", "TENANT", "TRACE", "VERIFIER",
    "REGISTRY", "Pipe", "Record", "Told", "acknowledged", "commands", "envelope", "event_id", "file",
    "forgotten", "found", "ordered", "registered", "signals", "summaries", "trace_id",
]  # fmt: skip
