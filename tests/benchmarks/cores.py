"""What an event costs the logic alone: microseconds of CPU in the SDK, join, detect and the sink, no broker.

    python -m tests.benchmarks.cores --report FILE
    python -m tests.benchmarks.cores --profile join      # where it goes: the functions that take most

Eight agents' runs of thoughts, model calls and tool calls go through the pure cores as records of a few
events. What the pipeline benchmark counts beyond these figures is the way between the cores: Kafka's clients,
Faust, the event loop, ClickHouse. Beside each figure stands its ratio to a fixed loop of plain Python.
"""

import argparse
import cProfile
import json
import pstats
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ingest import codec
from ingest.topics import EVENTS, INBOX
from stream.detect.detect import Detect
from stream.join.join import Join
from stream.outputs import Line
from stream.sink import rows
from stream.sink.columns import Block
from tests.benchmarks.text import KEY, yardstick
from tests.pipe import MASTER, START, TENANT, VERIFIER, Record, envelope, registered
from tracefuse import wire
from tracefuse.drafts import Draft, Run
from tracefuse.evidence import Identity, Witness

AGENTS = 8
RUNS = 80
TURNS = 6
ROUNDS = 9
SECONDS_A_RECORD = 0.05
STAGES = ("sdk", "join", "detect", "sink")

_THOUGHT = (
    "Bought {0} days ago, so the order is eligible for a refund of the price; I call the tool now."
)
_ANSWER = "The order {0} was delivered on time and paid; the customer wants all of the money back."
_TOOL = "crm.find"


class Burst(NamedTuple):
    """Events of one agent and run that leave together: one record."""

    agent: str
    run: Run
    drafts: list[Draft]


def bursts(rng: random.Random) -> Iterator[Burst]:
    """Runs as agents of ordinary habits have them; ids and numbers are another for each."""
    for number in range(RUNS):
        trace = Run(
            f"{rng.getrandbits(128) | 1 << 127:032x}", f"{rng.getrandbits(64):016x}", "refund", "u1"
        )
        agent, at = f"agent-{number % AGENTS}", int(START * 1e6) + number * 1_000_000
        waiting = [_draft(rng, trace, at, "run.start")]
        for turn in range(TURNS):
            order = 900_000 + number * TURNS + turn
            model, call = (f"{rng.getrandbits(64):016x}" for _ in range(2))
            said: dict[str, object] = {"model": "large-1", "status": "ok", "duration_us": 50_000}
            said |= {"input_tokens": 1200, "output_tokens": 80, "cost_usd": 0.002}
            given = {
                "order": order,
                "amount": 25.0,
                "contact": f"ann{order % 89}@example.com",
                "why": "late",
            }
            came = {"ok": True, "price": 25.0, "note": f"found, order {order} is closed"}
            answered: dict[str, object] = {"status": "ok", "duration_us": 30_000}
            waiting += [
                _draft(rng, trace, at, "thought", body=_THOUGHT.format(order % 89)),
                _draft(rng, trace, at, "llm.request", call_id=model, extra={"model": "large-1"}),
                _draft(
                    rng,
                    trace,
                    at,
                    "llm.response",
                    call_id=model,
                    body=_ANSWER.format(order),
                    extra=said,
                ),
                _draft(rng, trace, at, "tool.request", call_id=call, tool=_TOOL, body=given),
            ]
            yield Burst(agent, trace, waiting)
            waiting = [
                _draft(
                    rng,
                    trace,
                    at,
                    "tool.result",
                    call_id=call,
                    tool=_TOOL,
                    body=came,
                    extra=answered,
                )
            ]
        yield Burst(
            agent, trace, [*waiting, _draft(rng, trace, at, "run.end", extra={"status": "ok"})]
        )


def _draft(rng: random.Random, run: Run, at: int, name: str, **more: object) -> Draft:
    return Draft(name, run, f"{rng.getrandbits(64):016x}", at, **more)  # type: ignore[arg-type]


class Round:
    """One load through all cores, each stage by itself; fresh state."""

    def __init__(self, seed: int) -> None:
        self.load = list(bursts(random.Random(seed)))
        self.events = sum(len(burst.drafts) for burst in self.load)
        self.records: list[tuple[int, Record]] = []
        self.facts: list[list[Line]] = []

    def sdk(self) -> None:
        """Drafts to proved envelopes: what the background thread does but for the network."""
        witnesses: dict[str, Witness] = {}
        for agent in {burst.agent for burst in self.load}:
            who = Identity(tenant=TENANT, agent_id=agent, environment="dev", bundle="", boot_id="b")
            witnesses[agent] = Witness(who, KEY)
        seq = dict.fromkeys(witnesses, 0)
        for offset, burst in enumerate(self.load):
            lines: list[bytes] = []
            for draft in burst.drafts:
                seq[burst.agent] += 1
                lines.append(witnesses[burst.agent].line(draft, seq[burst.agent]))
            headers, value = envelope(list(lines), agent_id=burst.agent)
            number = wire.partition_of(wire.trace_key(TENANT, burst.run.trace_id))
            at = START + offset * SECONDS_A_RECORD
            self.records.append((number, Record(offset, at, headers, value)))

    def join(self) -> None:
        """Records of events to facts."""
        joins: dict[int, Join] = {}
        for number, record in self.records:
            core = joins.get(number) or joins.setdefault(number, Join(number, MASTER))
            self.facts.append(core.apply(*record))

    def detect(self) -> None:
        """Facts to what is decided; every agent has its file."""
        detects: dict[int, Detect] = {}
        for offset, agent in enumerate(sorted({burst.agent for burst in self.load})):
            box = wire.partition_of(wire.agent_key(TENANT, agent))
            core = detects.get(box) or detects.setdefault(box, Detect(box, VERIFIER))
            owned = codec.encode(registered(agent, tools={_TOOL: {"access": "read"}}))
            core.apply(offset, START - 1, [(wire.KIND, codec.INBOX)], owned)
        for (_, record), lines in zip(self.records, self.facts, strict=True):
            boxes: dict[int, list[bytes]] = {}
            for line in lines:
                if line.topic == INBOX:
                    boxes.setdefault(wire.partition_of(line.key), []).append(line.value)
            for box, told in boxes.items():
                headers = [(wire.KIND, codec.INBOX)]
                detects[box].apply(
                    record.offset + AGENTS, record.timestamp, headers, b"\n".join(told)
                )

    def sink(self) -> None:
        """Records of events to columns."""
        block = Block("events", EVENTS, 0)
        for number, record in self.records:
            for row in rows.read(EVENTS, number, record.headers, record.value, MASTER):
                assert isinstance(row, rows.Row)
                block.add(row, record.offset, int(record.timestamp * 1000))
        block.columns()


def _cpu_us(call: Callable[[], object]) -> float:
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1e3


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """By stage: the median microseconds an event, and its median ratio to the fixed loop."""
    took: dict[str, list[tuple[float, float]]] = {stage: [] for stage in STAGES}
    for seed in range(rounds):
        one = Round(seed)
        for stage in STAGES:
            spent = _cpu_us(getattr(one, stage)) / one.events
            stick = statistics.median(_cpu_us(yardstick) for _ in range(5))
            took[stage].append((spent, spent / stick))
    return {
        stage: {
            "us": round(statistics.median(us for us, _ in found), 1),
            "ratio": round(statistics.median(ratio for _, ratio in found), 3),
        }
        for stage, found in took.items()
    }


def profiled(stage: str) -> None:
    """Print the functions of a stage that take most."""
    one, profile = Round(0), cProfile.Profile()
    for name in STAGES[: STAGES.index(stage)]:
        getattr(one, name)()
    profile.runcall(getattr(one, stage))
    pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def main() -> int:
    """Always 0: nothing is promised of the cores alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--profile", choices=STAGES)
    arguments = parser.parse_args()
    if arguments.profile:
        profiled(arguments.profile)
        return 0
    found = measured(arguments.rounds)
    for stage, row in found.items():
        sys.stdout.write(f"{stage:6} {row['us']:6} us an event, ratio {row['ratio']}\n")
    if arguments.report:
        figures = [
            {"name": f"an event in the core of {stage}", "unit": "us", "measured": row["us"]}
            for stage, row in found.items()
        ]
        report = {
            "benchmark": "cores",
            "python": sys.version.split()[0],
            "figures": figures,
            "rows": found,
        }
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
