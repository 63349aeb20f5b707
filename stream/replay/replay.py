"""Computing every decision again from the stored inputs, and comparing it with what was published.

Runs the same pure cores without Faust, without a clock: `agent.events.v1` gives the facts that the
inbox must hold, the inbox gives signals and commands, `agent.fleet.v1` gives incidents,
commands of wide scopes, and brakes that stand in the inbox again.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from ingest import codec
from ingest.keys import Keys
from ingest.reading import reader
from ingest.records import Src
from ingest.settings import Settings
from ingest.topics import (
    APPROVALS,
    CONTROL_LOG,
    EVENTS,
    FLEET,
    INBOX,
    INCIDENTS,
    SIGNALS,
    TOPICS,
    VERDICTS,
)
from stream.build import build
from stream.correlate.runner import cores as wide_cores
from stream.outputs import Answer, Line, Order, Output, Placed
from stream.partition import Marker
from stream.worker import checkpoint
from stream.worker.checkpoint import Saved
from stream.worker.worker import Cores, cores
from tracefuse import control, verdicts, wire
from tracefuse.errors import ConfigError

SAME, DIFFERENT, OTHER_BUILD = 0, 1, 2
SHOWN_MAX = 20  # differences told in words; all are counted

Identity = tuple[str, str, Src]  # topic, what it is, where it was computed from


class _Marked(msgspec.Struct):
    src: Src | None = None
    type: str = ""


_marked = msgspec.json.Decoder(_Marked).decode


@dataclass
class Report:
    """What was compared. `exit_code` is 0 only if something was, and all of it is the same."""

    compared: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    different: Counter[str] = field(default_factory=Counter)
    other_builds: set[str] = field(default_factory=set)

    @property
    def exit_code(self) -> int:
        if self.other_builds:
            return OTHER_BUILD
        return DIFFERENT if self.different.total() or not self.compared else SAME

    def differ(self, name: str, words: str) -> None:
        self.different[name] += 1
        if len(self.differences) < SHOWN_MAX:
            self.differences.append(f"{name} {words}")


class Comparison:
    """Computed and published records by their source mark. Pure."""

    def __init__(self, report: Report):
        self.report = report
        self._computed: dict[Identity, bytes] = {}
        self._seen: set[Identity] = set()

    def compute(self, outputs: Iterable[Output]) -> None:
        """Take what a core said."""
        for output in outputs:
            found = _said(output)
            if found is not None:
                self._computed[found[0]] = _digest(found[1])

    def publish(self, topic: str, kind: bytes, value: bytes) -> None:
        """Take one published line; a repeat must say the same again."""
        found = _published(topic, kind, value)
        if found is None:
            return
        identity, line = found
        name = _name(identity)
        if identity in self._seen:
            self.report.repeats[name] += 1
        else:
            self._seen.add(identity)
            self.report.compared[name] += 1
        expected = self._computed.get(identity)
        if expected is None:
            self.report.differ(name, f"{identity[2]} was published and can't be computed")
        elif expected != _digest(line):
            self.report.differ(name, f"{identity[2]} differs: published {line[:600]!r}")

    def finish(self, applied: dict[tuple[str, int], int]) -> None:
        """What was computed from applied inputs must have been published."""
        for identity in self._computed.keys() - self._seen:
            src = identity[2]
            if src[2] <= applied.get((src[0], src[1]), -1):
                self.report.differ(_name(identity), f"{src} was computed and never published")


def _name(identity: Identity) -> str:
    return identity[1] or identity[0]


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _said(output: Output) -> tuple[Identity, bytes] | None:
    if isinstance(output, Order):
        command = output.command
        assert command.src is not None
        return (CONTROL_LOG, "command", command.src), control.encode(command)
    if isinstance(output, Answer):
        src = output.verdict.src
        assert src is not None
        return (VERDICTS, "verdict", src), verdicts.encode(output.verdict)
    if isinstance(output, Line | Placed):
        marked = _marked(output.value)
        if marked.src is not None:
            return (output.topic, marked.type, marked.src), output.value
    return None


def _published(topic: str, kind: bytes, value: bytes) -> tuple[Identity, bytes] | None:
    if kind == codec.COMMANDS:
        command = control.decode(value)
        if command.author != "auto" or command.src is None:
            return None
        bare = msgspec.structs.replace(command, term=0, issued_at=0)
        return (topic, "command", command.src), control.encode(bare)
    try:
        if kind == codec.VERDICTS:
            value = verdicts.stripped(value)
        marked = _marked(value)
    except msgspec.MsgspecError:
        return None  # not ours: a bad line that somebody wrote into a topic
    if marked.src is None:
        return None
    name = "verdict" if kind == codec.VERDICTS else marked.type
    return (topic, name, marked.src), value


# -- bases -------------------------------------------------------------------------------------------


class Base(msgspec.Struct):
    """A saved point to replay from: the checkpoints of one build."""

    build: str
    parts: list[tuple[str, int, Marker, dict[str, bytes]]]


async def save_base(settings: Settings, keys: Keys, path: Path) -> int:
    """Write the newest checkpoints into a file; returns how many partitions it holds."""
    parts = [
        (topic, number, saved.marker, saved.cells)
        for (topic, number), saved in (await _checkpoints(settings, keys)).items()
    ]
    path.write_bytes(msgspec.msgpack.encode(Base(build(), parts)))
    return len(parts)


def _load_base(path: Path) -> Base:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Base)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"base {path}: {error}") from error


def part(path: Path, topic: str, number: int) -> tuple[Marker, dict[str, bytes]]:
    """One partition of a base. Raises `ConfigError` to the operator: another build, or not in it."""
    base = _load_base(path)
    if base.build != build():
        raise ConfigError(f"base {path}: it is of build {base.build}, this one is {build()}")
    for of, n, marker, cells in base.parts:
        if (of, n) == (topic, number):
            return marker, cells
    raise ConfigError(f"base {path}: it lacks {topic}/{number}")


async def _checkpoints(settings: Settings, keys: Keys) -> dict[tuple[str, int], Saved]:
    readers = await checkpoint.read(
        settings.bootstrap, range(TOPICS[EVENTS].partitions), keys.state_key
    )
    found = {}
    for topic in (EVENTS, INBOX, FLEET):
        for number in range(TOPICS[topic].partitions):
            saved = readers[number].saved(topic, number)
            if saved is not None:
                found[topic, number] = saved
    return found


# -- the log -----------------------------------------------------------------------------------------

_RESULTS = {
    EVENTS: (INBOX,),
    INBOX: (SIGNALS, CONTROL_LOG, FLEET, VERDICTS, APPROVALS),
    FLEET: (INCIDENTS, CONTROL_LOG, INBOX),
}
_INPUT, _RESULT = "input", "result"


class _Log:
    """Partitions of a topic, read to where they end at one moment."""

    def __init__(self, consumer: AIOKafkaConsumer):
        self._consumer = consumer
        self._ends: dict[tuple[str, str], dict[TopicPartition, int]] = {}

    async def fix(self, topic: str, role: str) -> None:
        """Remember where the topic ends now, for when it is read in this role."""
        partitions = [TopicPartition(topic, n) for n in range(TOPICS[topic].partitions)]
        self._ends[topic, role] = await self._consumer.end_offsets(partitions)

    async def records(
        self, topic: str, role: str, starts: dict[int, int] | None = None
    ) -> AsyncIterator[ConsumerRecord]:
        """All partitions at once, each in its order; `starts` by partition, from 0 where none."""
        ends = self._ends[topic, role]
        begins = await self._consumer.beginning_offsets(list(ends))
        self._consumer.assign(list(ends))
        for tp in ends:
            start = (starts or {}).get(tp.partition)
            if start is None and begins[tp] > 0:
                raise ConfigError(
                    f"{topic}/{tp.partition} begins at {begins[tp]}: use a saved base"
                )
            self._consumer.seek(tp, max(begins[tp], start or 0))
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await self._consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield record


async def verify(settings: Settings, keys: Keys, base_path: Path | None = None) -> Report:
    """Replay everything that is stored, from the beginning or from a base. Raises `ConfigError`."""
    base = _load_base(base_path) if base_path else Base(build(), [])
    report = Report()
    if base.build != build():
        report.other_builds.add(base.build)
        return report
    applied = {
        tp: saved.marker.offset for tp, saved in (await _checkpoints(settings, keys)).items()
    }
    async with reader(settings.bootstrap) as consumer:
        log = _Log(consumer)
        # Results before inputs: every result has its input in view. Inbox and fleet are both.
        for topic in sorted({topic for written in _RESULTS.values() for topic in written}):
            await log.fix(topic, _RESULT)
        for topic in (FLEET, INBOX, EVENTS):
            await log.fix(topic, _INPUT)
        make: Cores = {**cores(keys), **wide_cores(keys)}
        for source in (EVENTS, INBOX, FLEET):
            await _stage(log, make, source, base, applied, report)
    return report


async def _stage(
    log: _Log, make: Cores, source: str, base: Base, applied: dict[tuple[str, int], int],
    report: Report,
) -> None:  # fmt: skip
    comparison = Comparison(report)
    starts = {(t, n): (marker, cells) for t, n, marker, cells in base.parts}
    made = {number: make[source](number) for number in range(TOPICS[source].partitions)}
    for (topic, number), (marker, cells) in starts.items():
        if topic == source:
            made[number].restore(marker, cells)
    after = {n: core.partition.offset + 1 for n, core in made.items() if base.parts}
    async for record in log.records(source, _INPUT, after):
        if wire.header(record.headers, wire.KIND) == codec.OWNER:
            written = codec.owner(record.value).build
            if written != build():
                report.other_builds.add(written)
        core = made[record.partition]
        comparison.compute(
            core.apply(record.offset, record.timestamp / 1000, record.headers, record.value)
        )
    floor = {tp: marker.offset for tp, (marker, _) in starts.items()}
    for topic in _RESULTS[source]:
        anywhere = dict.fromkeys(range(TOPICS[topic].partitions), 0) if base.parts else None
        async for record in log.records(topic, _RESULT, anywhere):
            _compare(comparison, record, source, floor)
    comparison.finish(applied)


def _compare(
    comparison: Comparison, record: ConsumerRecord, source: str, floor: dict[tuple[str, int], int]
) -> None:
    kind = wire.header(record.headers, wire.KIND)
    if kind in (codec.TICK, codec.OWNER) or record.value is None:
        return
    for line in [record.value] if kind == codec.COMMANDS else codec.lines(record.value):
        found = _published(record.topic, kind, line)
        if found is None:
            continue
        src = found[0][2]
        if src[0] == source and src[2] > floor.get((src[0], src[1]), -1):
            comparison.publish(record.topic, kind, line)


def words(report: Report) -> str:
    """The report for people: how much was compared, and each difference."""
    if report.other_builds:
        return f"decided by another build than this one: {', '.join(sorted(report.other_builds))}"
    lines = [f"{name}: {n} compared" for name, n in sorted(report.compared.items())]
    lines += [f"{name}: {n} repeated, each the same" for name, n in sorted(report.repeats.items())]
    lines += report.differences
    if not report.compared:
        lines.append("nothing was compared, so nothing is proved")
    else:
        lines.append(f"{report.different.total()} differences in {report.compared.total()} records")
    return "\n".join(lines)
