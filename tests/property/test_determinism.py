"""The law: what was decided is decided again, whoever dies when; and what happens without its protections."""

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import codec
from ingest.topics import CONTROL_LOG, DLQ, FLEET, INBOX, SIGNALS, VERDICTS
from stream.detect.detect import Detect
from stream.join.join import Join
from stream.outputs import Answer, Forget, Line, Order, Output
from stream.partition import Marker, Partition
from tests.pipe import (
    MASTER,
    START,
    TENANT,
    VERIFIER,
    Record,
    Told,
    envelope,
    ordered,
    registered,
    trace_id,
)
from tracefuse import control, verdicts, wire

TICK = [(wire.KIND, codec.TICK)]
BOX = [(wire.KIND, codec.INBOX)]
# Traces of one partition, so that one join sees them all.
TRACES = [
    trace for trace in map(trace_id, range(1, 200))
    if wire.partition_of(wire.trace_key(TENANT, trace)) == 0
][:4]  # fmt: skip

Core = Join | Detect


def story(seed: int) -> list[Record]:
    """A seeded log of events: runs that loop, fail, cost, fall silent, beside healthy ones; and ticks."""
    rng, log, now = random.Random(seed), list[Record](), START
    agents = [(Told(f"agent-{n}", trace), rng.choice(("", "loop", "fail", "spend")))
              for n, trace in enumerate(TRACES)]  # fmt: skip
    for told, _ in agents:
        log.append(Record(len(log), now, *envelope([told("run.start")], agent_id=told.agent_id)))
    for _ in range(60):
        now += rng.choice((0.0, 0.1, 0.5, 0.5, 3.0, 40.0))
        told, fault = rng.choice(agents)
        headers, value = envelope(
            list(_acts(told, fault, rng)), agent_id=told.agent_id, spooled=rng.random() < 0.1
        )
        log.append(Record(len(log), now, headers, value))
        now += 0.5
        log.append(Record(len(log), now, TICK, b"{}"))
    return log


def _acts(told: Told, fault: str, rng: random.Random) -> Iterator[Any]:
    yield told("thought", sketches={"simhash": f"{rng.getrandbits(64):016x}"})
    more: dict[str, Any] = {"tool": f"tool-{rng.randrange(2)}", "cost_usd": 0.01}
    if fault == "loop":
        more |= {"tool": "tool-0", "args_hash": "a", "result_hash": "r"}
    if fault == "fail":
        more |= {"status": rng.choice(("ok", "error", "error")), "error_type": "Timeout"}
    if fault == "spend":
        more |= {"cost_usd": 0.3}
    lines = told.call(rng.randrange(10**6), **more)
    yield from lines if rng.random() < 0.8 else reversed(lines)
    if rng.random() < 0.3:
        yield told("heartbeat")


def core_of(kind: type[Core]) -> Core:
    return Join(0, MASTER) if kind is Join else Detect(0, VERIFIER)


def straight(kind: type[Core], log: list[Record]) -> list[Output]:
    """What a core says that never dies."""
    core = core_of(kind)
    return [output for record in log for output in core.apply(*record)]


def killed(
    kind: type[Core], log: list[Record], saves: set[int], kills: set[int], now: Any = None
) -> list[Output]:
    """What a core says that is saved and dies between records, in the order of its log, repeats too."""
    core, said = core_of(kind), list[Output]()
    cells: dict[str, bytes] = {}
    marker: Marker | None = None
    at, deaths = 0, sorted(kills)
    while at < len(log):
        record = log[at]
        timestamp = record.timestamp if now is None else next(now)
        said += core.apply(at, timestamp, record.headers, record.value)
        if at in saves:
            snapshot = core.freeze()
            while core.partition.encode_some(snapshot):
                pass
            cells |= {key: cell for key, cell in snapshot.cells.items() if cell is not None}
            for key in [key for key, cell in snapshot.cells.items() if cell is None]:
                cells.pop(key, None)
            marker = snapshot.marker
        at += 1
        if deaths and at >= deaths[0]:
            deaths.pop(0)
            core = core_of(kind)
            if marker is not None:
                core.restore(marker, dict(cells))
            at = core.partition.offset + 1
    return said


def by_source(outputs: list[Output]) -> dict[tuple[str, Any], bytes]:
    """Outputs by what they are and where they were computed from; a repeat must say the same."""
    found: dict[tuple[str, Any], bytes] = {}
    for output in outputs:
        name, value = _bytes(output)
        assert found.setdefault(name, value) == value, f"{name} was said in two ways"
    return found


def _bytes(output: Output) -> tuple[tuple[str, Any], bytes]:
    if isinstance(output, Order):
        return (CONTROL_LOG, output.command.src), control.encode(output.command)
    if isinstance(output, Forget):
        return ("tombstone", output.key), b""
    if isinstance(output, Answer):
        return (VERDICTS, output.verdict.src), verdicts.encode(output.verdict)
    if output.topic == DLQ:
        return (DLQ, output.value), output.value
    src = msgspec.json.decode(output.value)["src"]
    return (output.topic, tuple(src)), output.value


def inbox(facts: list[Line], seed: int) -> list[Record]:
    """The inbox that follows from what join said, with ticks, files and people between the facts."""
    rng, log, now = random.Random(seed), list[Record](), START
    agents = [f"agent-{n}" for n in range(len(TRACES))]
    for agent in agents[:-1]:
        _put(log, now, codec.encode(registered(agent, budgets={"run_usd": 1.0, "day_usd": 4.0})))
    for n, line in enumerate(facts):
        said = msgspec.json.decode(line.value)
        now = max(now, said.get("at", now)) + 0.01
        _put(log, now, line.value)
        if rng.random() < 0.3:
            now += rng.choice((0.5, 0.5, 2.0, 33.0))
            log.append(Record(len(log), now, TICK, b"{}"))
        if rng.random() < 0.05:
            agent = rng.choice(agents)
            scope, state = (
                control.agent_scope(TENANT, agent),
                rng.choice(("forced_open", "half_open")),
            )
            _put(log, now, codec.encode(ordered(scope, state, cmd_id=f"h{n}", agent_id=agent)))
    return log


def _put(log: list[Record], now: float, value: bytes) -> None:
    log.append(Record(len(log), now, BOX, value))


def lines(outputs: list[Output]) -> list[Line]:
    return [output for output in outputs if isinstance(output, Line) and output.topic == INBOX]


seeds = st.integers(0, 10**6)
cuts = st.sets(st.integers(0, 200), max_size=6)


@settings(max_examples=30, deadline=None)
@given(seeds, cuts, cuts)
def test_join_says_the_same_again(seed: int, saves: set[int], kills: set[int]) -> None:
    """Saved and killed anywhere: the same facts byte for byte, each at its source mark, none missing."""
    log = story(seed)

    assert by_source(killed(Join, log, saves, kills)) == by_source(straight(Join, log))


@settings(max_examples=30, deadline=None)
@given(seeds, cuts, cuts)
def test_detect_decides_the_same_again(seed: int, saves: set[int], kills: set[int]) -> None:
    """Signals, commands, summaries and acknowledgements alike; and never in two ways."""
    log = inbox(lines(straight(Join, story(seed))), seed)

    assert by_source(killed(Detect, log, saves, kills)) == by_source(straight(Detect, log))


@settings(max_examples=30, deadline=None)
@given(seeds, cuts, cuts)
def test_a_join_that_repeats_itself_changes_no_decision(
    seed: int, saves: set[int], kills: set[int]
) -> None:
    """Its repeats stand in the inbox for good; detect decides as if they did not."""
    log = story(seed)
    once, again = lines(straight(Join, log)), lines(killed(Join, log, saves, kills))

    assert decisions(again) == decisions(once)


def decisions(facts: list[Line]) -> list[tuple[Any, ...]]:
    """Commands and findings without the places that they were computed from.

    Waits scatter with the epoch, which is such a place: here they don't.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream.agent.breaker.JITTER", 0.0)
        return [_decision(output) for output in straight(Detect, _box(facts))]


def _box(facts: list[Line]) -> list[Record]:
    """An inbox in which each fact comes at its own time, and repeats take none."""
    log: list[Record] = []
    now = START
    for line in facts:
        now = max(now, msgspec.json.decode(line.value).get("at", now))
        _put(log, now, line.value)
    return log


def _decision(output: Output) -> tuple[Any, ...]:
    if isinstance(output, Order):
        command = output.command
        return ("command", command.scope, command.state, command.reason.rule, command.reason.text)
    if isinstance(output, Forget):
        return ("forget", output.key)
    if isinstance(output, Answer):
        return ("verdict", output.verdict.call_id, output.verdict.word, output.verdict.gate)
    said = msgspec.json.decode(output.value)
    said = said.get("signal", said)
    return (output.topic, said.get("detector"), said.get("sentence"), said.get("at"))


# -- without the protections -----------------------------------------------------------------------


def eventful() -> tuple[list[Record], list[Record]]:
    """A seed in which much happens, as the next test shows."""
    log = story(7)
    return log, inbox(lines(straight(Join, log)), 7)


def test_much_happens_in_a_story() -> None:
    """Commands of several rules and states, signals, incidents: else the comparisons are worth little."""
    _, box = eventful()
    said = straight(Detect, box)
    orders = [output.command for output in said if isinstance(output, Order)]

    assert {o.reason.rule for o in orders} >= {"exact_loop", "error_rate", "cost_cap", "human"}
    assert {o.state for o in orders} >= {"open", "half_open", "forced_open"}
    assert {line.topic for line in said if isinstance(line, Line)} >= {SIGNALS, FLEET}


def test_without_the_source_mark_decisions_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: repeats that are applied again trip what would not have tripped."""
    log, _ = eventful()
    again = lines(killed(Join, log, saves={20}, kills={60, 100}))
    honest = decisions(again)
    monkeypatch.setattr(Partition, "accepts", lambda self, src: True)

    assert decisions(again) != honest


def test_by_the_wall_clock_decisions_change() -> None:
    """Control: a second computation takes place at another time."""
    _, box = eventful()
    wall = (START + 0.7 * n for n in count())

    assert by_source(killed(Detect, box, {20}, set(), now=wall)) != by_source(straight(Detect, box))


@pytest.mark.parametrize("kind", [Join, Detect])
def test_without_the_checkpoint_nothing_is_the_same(kind: type[Core]) -> None:
    """Control: a core that goes on with an empty state says other things."""
    log, box = eventful()
    records = log if kind is Join else box
    core = core_of(kind)
    forgetful = straight(kind, records[:60])
    core.partition.offset = 59
    forgetful += [output for record in records[60:] for output in core.apply(*record)]

    assert [_bytes(o) for o in forgetful] != [_bytes(o) for o in straight(kind, records)]


def test_random_numbers_of_ours_are_none() -> None:
    """The same log in the same process twice: nothing is drawn, nothing is remembered outside."""
    log, box = eventful()

    assert straight(Join, log) == straight(Join, log)
    assert straight(Detect, box) == straight(Detect, box)
