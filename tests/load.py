"""A load of valid events from many agents, made and proved like an SDK's, sent by one producer.

Seeded. Runs overlap; some agents loop, fail or call too often, so that all kinds of commands appear.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from ingest.keys import Keys
from tracefuse import events, ids, wire
from tracefuse.credentials import Credential
from tracefuse.events import Event
from tracefuse.signing import envelope_mac

TENANT = "load"


@dataclass
class Agent:
    """One pretended agent process: its credential, its order, its open run."""

    agent_id: str
    credential: Credential
    rng: random.Random
    fault: str = ""
    boot_id: str = field(default_factory=ids.boot_id)
    seq: int = 0
    trace_id: str = ""
    left: int = 0

    def event(self, name: str, now_us: int, **more: object) -> Event:
        self.seq += 1
        return Event(
            event_id=ids.event_id(), kind=events.KIND_OF[name], name=name,  # type: ignore[arg-type]
            trace_id=self.trace_id, span_id=ids.span_id(), tenant=TENANT, agent_id=self.agent_id,
            boot_id=self.boot_id, seq=self.seq, emitted_at=now_us, **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def step(self, now_us: int) -> Iterator[Event]:
        """The next few events of the agent's run."""
        if self.left == 0:
            self.trace_id, self.left = ids.trace_id(), self.rng.randint(3, 12)
            yield self.event("run.start", now_us)
        yield self.event(
            "thought", now_us, sketches={"simhash": f"{self.rng.getrandbits(64):016x}"}
        )
        loops = self.fault == "loop"
        fails = self.fault == "fail" and self.rng.random() < 0.7
        call, args = ids.span_id(), "same" if loops else f"{self.rng.getrandbits(64):016x}"
        tool = f"tool.{0 if loops else self.rng.randint(0, 3)}"
        yield self.event("tool.request", now_us, call_id=call, tool=tool, args_hash=args)
        yield self.event(
            "tool.result", now_us, call_id=call, tool=tool, args_hash=args,
            result_hash=args, status="error" if fails else "ok",
            error_type="Timeout" if fails else "", duration_us=self.rng.randint(1_000, 900_000),
            cost_usd=0.001,
        )  # fmt: skip
        self.left -= 1
        if self.left == 0:
            yield self.event("run.end", now_us)


def agents(keys: Keys, count: int, seed: int) -> list[Agent]:
    """A fleet: every fifth agent loops, every fifth fails, the others are well."""
    faults = ("loop", "fail", "", "", "")
    return [
        Agent(
            f"agent-{i}", keys.credential(TENANT, f"agent-{i}"), random.Random(seed * 1000 + i),
            faults[i % len(faults)],
        )
        for i in range(count)
    ]  # fmt: skip


def envelope(agent: Agent, lines: list[Event]) -> tuple[bytes, int, list[tuple[str, bytes]]]:
    """Value, partition and headers of one record of one trace."""
    value = b"\n".join(events.encode(event) for event in lines)
    kid, key = agent.credential.kid, agent.credential.envelope_key
    headers = [
        (wire.KIND, b"events"), (wire.VERSION, b"1.0"), (wire.KID, kid.encode()),
        (wire.MAC, envelope_mac(key, kid, False, value)),
    ]  # fmt: skip
    partition = wire.partition_of(wire.trace_key(TENANT, lines[0].trace_id))
    return value, partition, headers


async def send(
    producer: AIOKafkaProducer, agent: Agent, now_us: int
) -> tuple[int, "asyncio.Future[object]"]:
    """One step of one agent; returns how many events it was, and their confirmation."""
    lines = list(agent.step(now_us))
    value, partition, headers = envelope(agent, lines)
    future = await producer.send(wire.EVENTS, value, partition=partition, headers=headers)
    return len(lines), future
