"""F17: a worker is far slower than its load. It holds no more for that, says so, and a kill needs no worker.

Two slow workers share a backlog: one as it is, and the control, which takes in whatever it is given.
"""

import asyncio
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

import tracefuse
from ingest import keys, ports
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from ingest.topics import PARTITIONS
from stream.people import orders
from tests.pipe import TENANT, Told, envelope, trace_id
from tests.workers import Processes
from tracefuse import wire
from tracefuse.control import run_scope
from tracefuse.errors import CircuitOpen

pytestmark = pytest.mark.kafka

SLOW = "tests.faults.slow"
Workers = dict[str, subprocess.Popen[bytes]]
RECORDS, RECORD_BYTES = 30_000, 20_000  # beyond what a slow worker takes in an hour, or may hold
# A worker at rest has 230 MiB; its buffers may add 2 x BUFFER records and what its fetches hold: 360 MiB
# at most where it has all partitions. Half of the backlog alone is 290 MiB.
MEMORY_BYTES = 430 << 20
STOP_SECONDS = 2.0
START_SECONDS = 60.0
LAG, APPLIED = "tracefuse_lag_records", "tracefuse_processed_records_total"
SECONDS, PAUSE_SECONDS = 6.0, 0.2


class Seen(NamedTuple):
    """What was seen of both workers, and how long each kill took."""

    most: dict[str, int]  # bytes of memory
    lag: float  # records, of the bounded one's partitions of events, in the end
    applied: float
    stops: list[float]


async def fill(settings: Settings, held: Keys) -> None:
    """The backlog: records as large as envelopes get, over all partitions."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, max_batch_size=1 << 20
    )
    made: dict[int, tuple[list[tuple[str, bytes]], bytes]] = {}
    for number in count():  # one trace for each partition
        told = Told(trace_id=trace_id(number))
        line = told("thought", attrs={"pad": "x" * RECORD_BYTES})
        headers, value = envelope([line], master=held.master)
        made[wire.partition_of(wire.trace_key(TENANT, told.trace_id))] = list(headers), value
        if len(made) == PARTITIONS:
            break
    async with producer:
        for n in range(RECORDS):
            own_headers, value = made[n % PARTITIONS]
            await producer.send(wire.EVENTS, value, partition=n % PARTITIONS, headers=own_headers)


def stopped(settings: Settings, held: Keys, fuse: tracefuse.Fuse) -> float:
    """Seconds from a person's word until the agent's next call is refused."""
    with fuse.trace() as trace:
        began = time.monotonic()
        scope = run_scope(fuse.credential.tenant, fuse.credential.agent_id, trace.trace_id)
        asyncio.run(orders.force(settings, held, scope, "enough"))
        while time.monotonic() - began < 10 * STOP_SECONDS:
            try:
                with trace.tool("crm.find"):
                    time.sleep(0.005)
            except CircuitOpen:
                break
        return time.monotonic() - began


def scraped(settings: Settings, name: str) -> float:
    """Sum of a metric over the partitions of events, as Prometheus would read it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics") as answer:
            text = answer.read().decode()
    except OSError:  # it has not started yet
        return 0.0
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels.get("topic") == wire.EVENTS
    )


def watch(
    settings: Settings, held: Keys, fuse: tracefuse.Fuse, workers: Workers, seconds: float
) -> Seen:
    """Let the workers be slow while a person stops one run after the other."""
    most, stops = dict.fromkeys(workers, 0), []
    began = time.monotonic()
    while time.monotonic() - began < seconds or (
        # However long they take to start: it goes on until both have taken in what they may.
        time.monotonic() - began < seconds + START_SECONDS
        and (
            not (scraped(settings, LAG) and scraped(settings, APPLIED))
            or most["boundless"] < MEMORY_BYTES  # they share only after a rebalance
        )
    ):
        stops.append(stopped(settings, held, fuse))
        for name, worker in workers.items():
            most[name] = max(most[name], psutil.Process(worker.pid).memory_info().rss)
        time.sleep(PAUSE_SECONDS)
    return Seen(
        most,
        lag=scraped(settings, LAG),
        applied=scraped(settings, APPLIED),
        stops=stops,
    )


def play(folder: Path, seconds: float) -> Seen:
    """Backlog, workers, kills."""
    held = keys.create(folder / "keys")
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        settings = Settings(home=str(folder), bootstrap=broker.bootstrap)
        asyncio.run(provision(settings))
        asyncio.run(fill(settings, held))
        told = replace(settings, metrics_port=ports.free_port(broker.port))
        bounded = Processes(told, folder, (SLOW, "bounded"))
        boundless = Processes(settings, folder, (SLOW, "boundless"))
        for workers in (bounded, boundless):
            name = workers.module[1]
            workers.start(name)
            stack.callback(workers.kill, name)  # in order it would first finish its batch
        fuse = tracefuse.init(
            bootstrap=broker.bootstrap, credential=held.credential("acme", "refunds")
        )
        stack.callback(fuse.close)
        return watch(told, held, fuse, bounded.running | boundless.running, seconds)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return play(tmp_path_factory.mktemp("slow"), SECONDS)


def test_a_slow_worker_holds_no_more_for_that(seen: Seen) -> None:
    """Its partitions pause: of gigabytes before it, it keeps a few thousand records in memory."""
    assert seen.most["bounded"] < MEMORY_BYTES


def test_without_a_bound_it_takes_in_what_it_is_given(seen: Seen) -> None:
    """The control: the same worker, on its share of the same backlog."""
    assert seen.most["boundless"] > MEMORY_BYTES


def test_a_slow_worker_says_how_far_it_is_behind(seen: Seen) -> None:
    """Also of partitions that it does not fetch: the alarm `LagHigh` asks for this figure."""
    assert seen.lag > RECORDS / 4
    assert 0 < seen.applied < RECORDS / 10, "it was to be slow, not dead"


def test_a_person_need_not_wait_for_it(seen: Seen) -> None:
    """A kill goes from the control topic to the agent: all in less than 2 s, with every worker busy."""
    assert len(seen.stops) >= 5
    assert max(seen.stops) < STOP_SECONDS


@pytest.mark.soak
def test_five_minutes_of_a_slow_worker(tmp_path: Path) -> None:
    """The same for as long as is promised: memory stands, the lag is shown, every kill arrives."""
    seen = play(tmp_path, 300.0)
    print({name: f"{most >> 20} MiB" for name, most in seen.most.items()}, max(seen.stops))

    assert seen.most["bounded"] < MEMORY_BYTES < seen.most["boundless"]
    assert seen.lag > RECORDS / 4
    assert len(seen.stops) > 100
    assert max(seen.stops) < STOP_SECONDS
