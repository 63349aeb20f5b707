"""Recorded traces of real agents, sent the way agents send: same event, same envelope, same proof.

A recording is NDJSON (gzip or plain), one event a line, the lines of a trace together. It was made
elsewhere, so its ids become valid ones by hashing and stay readable in `attrs`; its texts stay at home,
as an agent's would. `convert` is pure, `replay` sends.
"""

import asyncio
import gzip
import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from ingest.keys import Keys
from ingest.settings import Settings
from tracefuse import events, wire
from tracefuse.canonical import canonical, keyed_hash
from tracefuse.clock import monotonic, now_us
from tracefuse.credentials import Credential
from tracefuse.envelopes import Envelope, Packer, Seal
from tracefuse.events import KIND_OF, Event

log = logging.getLogger(__name__)

# The recording's words and ours. An unknown word becomes an own name (``x.``), never a loss.
_NAMES = {
    "system_prompt": "input.system",
    "user_message": "input.user",
    "llm_output": "thought",
    "tool_call": "tool.request",
    "tool_result": "tool.result",
}
_ERROR_TYPE_MAX = 64


class Line(msgspec.Struct, gc=False):
    """One line of a recording; fields that we do not know are ignored."""

    timestamp: float
    trace_id: str
    span_id: str
    agent_id: str
    type: str
    kind: str
    parent_span_id: str | None = None
    model: str = ""
    user: str = ""
    tool: str = ""
    args: dict[str, Any] = {}
    text: str = ""
    result: Any = None
    error: str | None = None
    tokens: int = 0


def traces(path: Path) -> Iterator[list[Line]]:
    """Traces of a recording, in its order. Raises `msgspec.DecodeError` to the operator."""
    decoder = msgspec.json.Decoder(Line)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        lines = (decoder.decode(line) for line in file)
        for _, trace in itertools.groupby(lines, key=lambda line: line.trace_id):
            yield list(trace)


def identifier(digits: int, *parts: str) -> str:
    """A valid id made of a foreign one; the same parts give the same id.

    >>> identifier(16, "run-7", "span 3")
    'b20604e18c88e535'
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]


class Converter:
    """Lines of a recording to events of one tenant.

    An event's ids depend on tenant and recording alone, so a recording that is replayed twice into one
    tenant counts once. Each agent of a trace gets a `run.start` and a `run.end`: its run
    is over, not silent.

    Parameters
    ----------
    tenant
        Tenant of all events.
    hash_key
        The tenant's key for arguments and results, which do not travel themselves.
    """

    def __init__(self, tenant: str, hash_key: bytes):
        self._tenant = tenant
        self._hash_key = hash_key
        self._sent: dict[str, int] = {}

    def convert(self, trace: list[Line], now: int) -> list[Event]:
        """Events of one trace, claimed to happen at `now` (µs)."""
        calls = {line.span_id: line for line in trace if line.type == "tool_call"}
        agents = {line.agent_id: line for line in trace}
        made = [
            *(self._bare(line, "run.start", "start", now) for line in agents.values()),
            *(self._event(line, calls, now) for line in trace),
            *(self._bare(line, "run.end", "end", now) for line in agents.values()),
        ]
        for event in made:
            event.status = "ok" if event.name == "run.end" else event.status
            event.seq = self._sent[event.agent_id] = self._sent.get(event.agent_id, 0) + 1
        return made

    def _bare(self, line: Line, name: str, span: str, now: int) -> Event:
        trace_id = identifier(32, self._tenant, line.trace_id)
        return Event(
            event_id=identifier(32, self._tenant, line.trace_id, line.span_id, name),
            kind=KIND_OF.get(name, line.kind),  # type: ignore[arg-type]
            name=name,
            trace_id=trace_id,
            span_id=identifier(16, trace_id, line.agent_id, span),
            tenant=self._tenant,
            agent_id=line.agent_id,
            boot_id=identifier(16, self._tenant, line.agent_id, "recorded"),
            seq=0,
            emitted_at=now,
        )

    def _event(self, line: Line, calls: dict[str, Line], now: int) -> Event:
        name = _NAMES.get(line.type, f"x.{line.type}")
        # A result belongs to the span of its call, as the SDK has it.
        call = calls.get(line.parent_span_id or "") if name == "tool.result" else None
        span, parent = (call or line).span_id, (call or line).parent_span_id
        event = self._bare(line, name, span, now)
        if parent:
            event.parent_span_id = identifier(16, event.trace_id, line.agent_id, parent)
        event.user_id, event.model, event.tool = line.user, line.model, line.tool
        if name in ("tool.request", "tool.result"):
            event.call_id = event.span_id
        if name == "tool.request":
            event.args_hash = self._hash(line.args)
        elif name == "tool.result":
            event.status = "error" if line.error else "ok"
            event.error_type = (line.error or "").partition(":")[0][:_ERROR_TYPE_MAX]
            event.result_hash = self._hash(line.error or line.result)
            event.args_hash = self._hash(call.args) if call else ""
        elif name == "thought":
            event.output_tokens = line.tokens
        else:
            event.input_tokens = line.tokens
        event.attrs = {
            "recorded_trace_id": line.trace_id,
            "recorded_span_id": line.span_id,
            "recorded_at": line.timestamp,
        }
        return event

    def _hash(self, value: object) -> str:
        return keyed_hash(self._hash_key, canonical(value))


def envelopes(made: list[Event], credential: Callable[[str], Credential]) -> Iterator[Envelope]:
    """Records of one trace: of one agent each, and with the proof of whose they are."""
    for agent, group in itertools.groupby(made, key=lambda event: event.agent_id):
        of_one, holder = list(group), credential(agent)
        seal, packer = Seal(holder.kid, holder.envelope_key), Packer(of_one[0].boot_id)
        for event in of_one:
            partition = wire.partition_of(wire.trace_key(event.tenant, event.trace_id))
            packer.add(partition, events.encode(event), event.seq, now=0.0)
        for envelope in packer.flush():
            seal.close(envelope)
            yield envelope


async def replay(
    path: Path, settings: Settings, keys: Keys, tenant: str, events_per_second: float = 0.0
) -> int:
    """Send a recording; 0 events a second means as fast as it goes.

    Returns
    -------
    int
        Events that the broker acknowledged; 0 with a warning where there is no recording.
    """
    if not path.exists():
        log.warning("NOT REPLAYED: there is no recording at %s", path)
        return 0
    converter = Converter(tenant, keys.credential(tenant, "").hash_key)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, acks="all", enable_idempotence=True, linger_ms=5
    )
    await producer.start()
    try:
        return await _send(producer, path, converter, keys, tenant, events_per_second)
    finally:
        await producer.stop()


async def _send(
    producer: AIOKafkaProducer,
    path: Path,
    converter: Converter,
    keys: Keys,
    tenant: str,
    events_per_second: float,
) -> int:
    sent, started, waiting = 0, monotonic(), []
    for trace in traces(path):
        made = converter.convert(trace, now_us())
        waiting += [
            await producer.send(
                wire.EVENTS, record.value, partition=record.partition, headers=record.headers()
            )
            for record in envelopes(made, lambda agent: keys.credential(tenant, agent))
        ]
        sent += len(made)
        if events_per_second:
            await asyncio.sleep(max(started + sent / events_per_second - monotonic(), 0.0))
    await asyncio.gather(*waiting)
    return sent
