"""What an event costs the agent: microseconds in its own thread, CPU of its process.

    python -m tests.benchmarks.emit --report FILE

An agent of 2,000 events/s against a real broker: turns of a thought, a model call and a tool call, each
with at most 100 bytes of text, redaction and fingerprints on. The same loop without the SDK is
measured first and taken off. The broker is another process and counts for nothing here.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import tracefuse
from ingest.broker import Broker
from ingest.keys import create
from ingest.provision import provision
from ingest.settings import Settings
from tests.benchmarks import promises
from tests.reading import lines, read
from tracefuse import wire

RATE = 2000
WINDOW_SECONDS = 2.0
WINDOWS = 10
# A turn: thought, llm.request, llm.response, tool.request, tool.result.
EVENTS_A_TURN = 5
TURNS_A_RUN = 6
# Ticks of the pacing loop; agents come in bursts, too.
TICK_SECONDS = 0.005
IDLE_SECONDS = 20.0  # so long that what an agent does now and then is in it
THREAD_US_MAX = 10.0
PROCESS_US_MAX = 30.0

# With numbers that change, so that nothing is remembered from one turn to the next.
THOUGHT = (
    "Bought {0} days ago, so the order is eligible for a refund of the price; I call the tool now."
)
ANSWER = "The order {1} was delivered on time and paid; the customer wants all of the money back."


def turn(trace: Any, took: list[float], number: int) -> None:
    """One turn; `took` gets the seconds that each pair of calls held the agent up."""
    clock = time.perf_counter
    days, order = number % 89, 900_000 + number
    thought, answer = THOUGHT.format(days, order), ANSWER.format(days, order)
    args = {"order": order, "amount": 25.0, "contact": f"ann{days}@example.com", "why": "late"}
    result = {"ok": True, "price": 25.0, "note": f"refunded, order {order} is closed"}
    at = clock()
    trace.thought(thought, confidence=0.9)
    took.append(clock() - at)
    at = clock()
    with trace.llm("large-1") as call:
        call.result(answer)
        call.usage(input_tokens=1200, output_tokens=80, cost_usd=0.002)
    took.append(clock() - at)
    at = clock()
    with trace.tool("crm.refund", args) as call:
        call.result(result)
    took.append(clock() - at)


class Nothing:
    """Stands in for the SDK: what is left is the loop itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, *_: object, **__: object) -> "Nothing":
        return self

    thought = llm = tool = result = usage = call


def loop_us() -> float:
    """A fixed loop of Python, µs: how fast the core is just now, other programs beside it."""
    began = time.thread_time()
    total = 0
    for number in range(10_000):
        total += number
    return (time.thread_time() - began) * 1e6


def play(open_run: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Turns at the rate; what they took, by both clocks."""
    took: list[float] = []
    process, thread = time.process_time(), time.thread_time()
    began = time.monotonic()
    turns = 0
    while (now := time.monotonic() - began) < seconds:
        if (now * RATE / EVENTS_A_TURN) - turns >= TURNS_A_RUN:
            with open_run() as run:
                for _ in range(TURNS_A_RUN):
                    turn(run, took, turns)
                    turns += 1
        else:
            time.sleep(TICK_SECONDS)
    events = turns * EVENTS_A_TURN + turns // TURNS_A_RUN * 2
    return {
        "events": events,
        "process_us": (time.process_time() - process) / events * 1e6,
        "thread_us": (time.thread_time() - thread) / events * 1e6,
        "waited_us": sum(took) / (turns * EVENTS_A_TURN) * 1e6,
        "waited_ms_max": max(took) * 1e3,
        "fixed_loop_us": sorted(loop_us() for _ in range(9))[4],
    }


def idle_ms() -> float:
    """CPU of the process while its agent does nothing, ms a second."""
    process, began = time.process_time(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (time.process_time() - process) / (time.monotonic() - began) * 1e3


def report(windows: int) -> dict[str, Any]:
    """All figures, and the promises beside what was measured: the best of many short windows.

    Other programs of the machine only ever add time, and cold caches; the median stands beside.
    """
    with tempfile.TemporaryDirectory() as name, Broker(Path(name) / "broker") as broker:
        asyncio.run(provision(Settings(bootstrap=broker.bootstrap)))
        bare = [play(Nothing, WINDOW_SECONDS) for _ in range(3)]
        fuse = tracefuse.init(
            bootstrap=broker.bootstrap,
            credential=create(Path(name) / "keys").credential("bench", "agent"),
            spool=Path(name) / "spool",
        )
        play(lambda: fuse.trace(task="warm"), WINDOW_SECONDS)
        full = [play(lambda: fuse.trace(task="bench"), WINDOW_SECONDS) for _ in range(windows)]
        idle = idle_ms()
        fuse.close()
        stats = fuse.stats()
        records = asyncio.run(read(broker.bootstrap, wire.EVENTS))
    found = [event for _, event in lines(records)]
    arrived = sum(e.task_type == "bench" and e.name != "heartbeat" for e in found)
    loop = {name: min(window[name] for window in bare) for name in bare[0]}
    best = {name: min(window[name] for window in full) - loop[name] for name in loop}
    median = {name: statistics.median(w[name] for w in full) - loop[name] for name in loop}
    figures = (
        ("an event in the agent's thread, waiting included", "us", THREAD_US_MAX, "waited_us"),
        ("an event in the agent's process, all threads", "us", PROCESS_US_MAX, "process_us"),
    )
    return {
        "benchmark": "emit",
        "python": sys.version.split()[0],
        "figures": [
            {"name": n, "unit": unit, "promised_max": most, "measured": round(best[key], 2)}
            for n, unit, most, key in figures
        ]
        + [
            {
                "name": "events lost of those emitted",
                "unit": "events",
                "promised_max": 0,
                "measured": sum(round(window["events"]) for window in full) - arrived,
            }
        ],
        "rows": {
            "rate": RATE,
            "windows": [{k: round(v, 2) for k, v in window.items()} for window in full],
            "loop_alone": {key: round(value, 2) for key, value in loop.items()},
            "idle_ms_per_s": round(idle, 2),
            "median": {key: round(value, 2) for key, value in median.items()},
            "fixed_loop_us_best": round(min(loop_us() for _ in range(200)), 2),
            "bytes_an_event": round(sum(len(r.value) for r in records) / len(found)),
            "events_a_record": round(len(found) / len(records), 1),
            "stats": stats,
        },
    }


def main() -> int:
    """Exit code 2 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="of 2 s each")
    arguments = parser.parse_args()
    found = report(arguments.windows)
    text = json.dumps(found, indent=2) + "\n"
    sys.stdout.write(text)
    if arguments.report:
        arguments.report.write_text(text, encoding="utf-8")
    return promises.exit_code(found["figures"])


if __name__ == "__main__":
    sys.exit(main())
