"""What the sink costs and how far behind it is: rows a second, CPU a row, age of the oldest missing row.

    python -m tests.benchmarks.sink --report FILE [--rows 200000] [--seconds 20]

The real broker, the real store and the sink as a process of its own; the rows are events alone. First a
backlog that waits in Kafka, then 5,000 events a second in envelopes of 20.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from ingest import keys
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from sql.migrate import migrate
from sql.server import Store
from stream.sink.batch import Batch
from stream.sink.intake import AGE_SECONDS, Intake, Stored
from tests.benchmarks.cpu import Machine, shares
from tests.benchmarks.promises import kept
from tests.pipe import TENANT, Told, envelope
from tests.sinking import client, until
from tests.workers import SINK, Processes
from tracefuse import wire
from tracefuse.events import Event

LINES = 20  # events a record
RATE = 5_000  # events a second, live
AGENTS = 50
ROWS_MIN = 15_000.0  # rows/s
CPU_US_MAX = 20.0  # a row, in the sink's process
PURE_US_MAX = 15.0  # a row, from record to columns
AGE_SECONDS_MAX = 1.0  # p99 of the oldest missing row

Json = dict[str, Any]


def events(number: int) -> list[Event]:
    """One record's worth of one trace, filled as a typical call is."""
    told = Told(f"agent-{number % AGENTS}", digest(number), boot_id=f"boot-{number % AGENTS}")
    return [
        event
        for n in range(LINES // 2)
        for event in told.call(
            n, args_hash=digest(n), result_hash=digest(-n), cost_usd=0.002, input_tokens=900,
            output_tokens=120, environment="prod", bundle="b1", model="m", task_type="refund",
        )
    ]  # fmt: skip


def digest(number: int) -> str:
    """32 hex digits as hashes have them; long runs of decimal digits would take the strict reader."""
    return hashlib.md5(str(number).encode()).hexdigest()


def records(held: Keys, count: int, first: int = 0) -> Iterator[tuple[int, wire.Headers, bytes]]:
    """Partition, headers and value."""
    for number in range(first, first + count):
        lines = events(number)
        headers, value = envelope(lines, agent_id=lines[0].agent_id, master=held.master)
        yield wire.partition_of(wire.trace_key(TENANT, lines[0].trace_id)), headers, value


def pure(held: Keys) -> float:
    """CPU from records to columns, us a row: the best of three."""
    found = [one for one in records(held, 4000) if one[0] == 0]
    costs = []
    for _ in range(3):
        intake = Intake(wire.EVENTS, 0, held.master, Stored(), 0)
        begun = time.process_time()
        for offset, (_, headers, value) in enumerate(found):
            intake.add(offset, 1_795_000_000_000, headers, value, now=0.0)
        rows = 0
        while (chunk := intake.take(AGE_SECONDS)) is not None:
            intake.settled()
            for block, _ in Batch([intake], [chunk]).inserts():
                rows += len(block.columns()["_offset"])
        costs.append((time.process_time() - begun) / rows * 1e6)
    return min(costs)


async def feed(settings: Settings, held: Keys, count: int, first: int, rate: float) -> list[Any]:
    """Send records in open loop; what the broker said of each."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, linger_ms=5
    )
    begun, waiting = time.monotonic(), []
    async with producer:
        for sent, (number, headers, value) in enumerate(records(held, count, first)):
            pause = begun + sent / rate - time.monotonic() if rate else 0.0
            if pause > 0:
                await asyncio.sleep(pause)
            waiting.append(
                await producer.send(wire.EVENTS, value, partition=number, headers=list(headers))
            )
        return list(await asyncio.gather(*waiting))


def stored(db: Client) -> int:
    return int(db.query("SELECT count() FROM events").result_rows[0][0])


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def family() -> float:
    """CPU seconds of this process and of all that it started: broker, store, sink."""
    ours = psutil.Process()
    return sum(cpu(one) for one in (ours, *ours.children(recursive=True)))


def backlog(db: Client, process: psutil.Process, rows: int) -> Json:
    """From the first row that arrives to the last one."""
    while (first := stored(db)) == 0:
        time.sleep(0.05)
    begun, used = time.monotonic(), cpu(process)
    while (now := stored(db)) < rows:
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    return {
        "rows": now - first,
        "rows_per_s": round((now - first) / seconds),
        "cpu_us_per_row": round((cpu(process) - used) / (now - first) * 1e6, 1),
    }


async def live(settings: Settings, held: Keys, db: Client, seconds: int, first: int) -> Json:
    """Ages of the oldest row that was missing, looked at five times a second."""
    count, looks = RATE * seconds // LINES, []
    feeding = asyncio.create_task(feed(settings, held, count, first, RATE / LINES))
    query = "SELECT _partition, max(_offset) FROM events GROUP BY _partition"
    while not feeding.done():
        await asyncio.sleep(0.2)
        at = time.time()  # before the look: what arrives during it was missing
        highest = dict((await asyncio.to_thread(db.query, query)).result_rows)  # type: ignore[arg-type,var-annotated]
        looks.append((at, highest))
    last = time.time()
    written: dict[int, list[tuple[int, float]]] = {}
    for one in await feeding:
        written.setdefault(one.partition, []).append((one.offset, one.timestamp / 1000))
    await until(lambda: stored(db) >= (first + count) * LINES)
    caught_up = time.time() - last
    ages = [
        max((at - oldest(written[p], highest.get(p, -1), at) for p in written), default=0.0)
        for at, highest in looks
    ]
    ordered = sorted(ages)
    return {
        "events_per_s": RATE,
        "age_s": {
            "p50": round(statistics.median(ordered), 3),
            "p99": round(ordered[int(0.99 * (len(ordered) - 1))], 3),
            "max": round(ordered[-1], 3),
        },
        "caught_up_s": round(caught_up, 3),
    }


def oldest(written: list[tuple[int, float]], highest: int, now: float) -> float:
    """When the first record that is missing at `now` was written; `now` where none is."""
    return next((at for offset, at in written if offset > highest and at <= now), now)


def report(rows: int, seconds: int) -> Json:
    """All figures, and the promises beside what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder / "store") as store, Broker(folder / "broker") as broker:
            settings = Settings(
                home=name, bootstrap=broker.bootstrap, clickhouse=f"{store.host}:{store.port}"
            )
            asyncio.run(provision(settings))
            held = keys.create(settings.keys_folder)
            with client(settings) as db:
                migrate(db)
                return measured(settings, held, db, folder, rows, seconds)


def measured(
    settings: Settings, held: Keys, db: Client, folder: Path, rows: int, seconds: int
) -> Json:
    alone = pure(held)
    asyncio.run(feed(settings, held, rows // LINES, 0, 0.0))
    sinks = Processes(settings, folder, SINK)
    sinks.start("sink")
    try:
        process = psutil.Process(sinks.running["sink"].pid)
        before, ours = Machine.now(), family()
        behind = backlog(db, process, rows)
        used = cpu(process)
        steady = asyncio.run(live(settings, held, db, seconds, rows // LINES))
        steady["cpu_us_per_row"] = round((cpu(process) - used) / (RATE * seconds) * 1e6, 1)
        machine = shares(before, Machine.now(), family() - ours)
    finally:
        sinks.stop()
    return {
        "benchmark": "sink",
        "python": sys.version.split()[0],
        "machine": machine,
        "figures": [
            {"name": "backlog", "unit": "rows/s", "promised_min": ROWS_MIN,
             "measured": behind["rows_per_s"]},
            {"name": "CPU a row, backlog", "unit": "us", "promised_max": CPU_US_MAX,
             "measured": behind["cpu_us_per_row"]},
            {"name": "CPU a row from record to columns", "unit": "us",
             "promised_max": PURE_US_MAX, "measured": round(alone, 1)},
            {"name": "age of the oldest missing row at 5,000 events/s, p99", "unit": "s",
             "promised_max": AGE_SECONDS_MAX, "measured": steady["age_s"]["p99"]},
        ],
        "rows": {"backlog": behind, "live": steady},
    }  # fmt: skip


def main() -> int:
    """Exit code 1 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--rows", type=int, default=200_000, help="of the backlog")
    parser.add_argument("--seconds", type=int, default=20, help="of live load")
    arguments = parser.parse_args()
    found = report(arguments.rows, arguments.seconds)
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(not all(kept(figure) for figure in found["figures"]))


if __name__ == "__main__":
    sys.exit(main())
