"""`tracefuse tail`: what happens now, straight from Kafka; also while ClickHouse is away."""

import argparse
import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from dashboards.output import Output, clock
from ingest import codec
from ingest.settings import Settings
from ingest.topics import CONTROL_LOG, EVENTS, INBOX, INCIDENTS, SIGNALS, TOPICS
from tracefuse import wire
from tracefuse.errors import ConfigError

# What -> topic, and the kind of record that counts as it.
KINDS = {
    "events": (EVENTS, codec.EVENTS),
    "steps": (INBOX, codec.INBOX),
    "signals": (SIGNALS, codec.SIGNALS),
    "commands": (CONTROL_LOG, b""),
    "incidents": (INCIDENTS, codec.INCIDENTS),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="*", metavar="WHAT", help=", ".join(KINDS))
    parser.add_argument("--agent", default="", help="AGENT or TENANT/AGENT")
    parser.add_argument("--trace", default="", help="its id, or how it begins")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="end after N lines")
    parser.add_argument("--begin", action="store_true", help="from the beginning of the topics")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    wanted = options.what or ["steps", "signals", "commands", "incidents"]
    unknown = [what for what in wanted if what not in KINDS]
    if unknown:
        raise ConfigError(f"nothing called {unknown[0]!r}: there are {', '.join(KINDS)}")
    return asyncio.run(_follow(options, wanted, settings, out))


async def _follow(
    options: argparse.Namespace, wanted: list[str], settings: Settings, out: Output
) -> int:
    topics = {KINDS[what][0]: (what, KINDS[what][1]) for what in wanted}
    partitions = [TopicPartition(t, n) for t in topics for n in range(TOPICS[t].partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, enable_auto_commit=False, request_timeout_ms=5000
    )
    left = options.count or -1
    try:
        await consumer.start()
        consumer.assign(partitions)
        await (consumer.seek_to_beginning if options.begin else consumer.seek_to_end)(*partitions)
        async for record in consumer:
            what, kind = topics[record.topic]
            for line in _lines(record, kind):
                if not _concerns(line, options.agent, options.trace):
                    continue
                named = {"what": what, "at_ms": record.timestamp, **line}
                out.record(named, _text(what, record.timestamp, line))
                left -= 1
                if left == 0:
                    return 0
    finally:
        await consumer.stop()
    return 0


def _lines(record: ConsumerRecord, kind: bytes) -> list[dict[str, Any]]:
    """Lines of a record as plain values. Damaged ones are the dead letters' business."""
    if record.value is None or (kind and wire.header(record.headers, wire.KIND) != kind):
        return []
    found = []
    for raw in codec.lines(record.value):
        try:
            line = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(line, dict) and line.get("type") not in ("registered", "ordered", "alive"):
            found.append(line)
    return found


def _concerns(line: dict[str, Any], agent: str, trace: str) -> bool:
    name = str(line.get("agent_id", ""))
    names = {name, f"{line.get('tenant', '')}/{name}"} if name else set()
    if agent and agent not in names and f"/{agent}" not in _slashed(line.get("scope", "")):
        return False
    return str(line.get("trace_id", "")).startswith(trace) or (trace in str(line.get("scope", "")))


def _slashed(scope: object) -> str:
    """A scope whose parts can be found whole.

    >>> _slashed("agent:acme/refunds")
    '/acme/refunds/'
    """
    return "/" + str(scope).partition(":")[2] + "/"


def _text(what: str, at_ms: int, line: dict[str, Any]) -> str:
    """One line for people: when, what, who, and the words that the record brings along."""
    who = line.get("scope") or f"{line.get('tenant', '')}/{line.get('agent_id', '')}"
    said = [
        str(line[name])
        for name in ("name", "phase", "action", "tool", "state", "status", "error_type", "detector")
        if line.get(name)
    ]
    if line.get("type") == "in_force":
        said.append(f"version {line.get('version')} of the agent's file is in force")
    reason = line.get("reason") or {}
    said += [str(line.get("sentence") or line.get("title") or "") or str(reason.get("text", ""))]
    return f"{clock(at_ms * 1000)}  {what:<9}  {who:<32}  {'  '.join(filter(None, said))}"
