"""F01: the sink is killed in the middle of anything, again and again. O1, O2, O3 hold; nobody helps.

Its own process, a real broker, a real store. The control is a sink that trusts Kafka's commits.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from ingest import keys
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from stream.sink import intake, sink
from tests.sinking import COUNTS, client, send, sinking, told, until
from tests.workers import SINK, Processes
from tracefuse.events import Event

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

NAIVE = ("tests.faults.naive_sink",)
# Of the time from a start to the first row, which the first life measures (four seconds where nothing else
# runs): near half of the kills hit before, half after.
LIFE = (0.4, 1.5)
TRACES = 40
# The events of one test: traces of its own in topics that all share.
ONES = "boot_id IN {boots:Array(String)}"
# O3: within a partition `seq` of a process rises, and over all partitions none is missing.
ORDER = """
SELECT boot_id, count() = max(seq) AND arraySort(groupArray(seq)) = groupArray(seq)
FROM (SELECT * FROM events ORDER BY _partition, _offset, _idx)
WHERE boot_id IN {boots:Array(String)} GROUP BY boot_id
"""


@pytest.fixture(scope="module")
def held(settings: Settings) -> Keys:
    asyncio.run(provision(settings))
    return keys.create(settings.keys_folder)


async def pour(
    settings: Settings, held: Keys, first: int, sent: list[int], until: asyncio.Event
) -> None:
    """Near 1,500 events a second, in envelopes of 10, each trace in its own order."""
    while not until.is_set():
        await send(
            settings, held, [told(first + n, 10, first=sent[n]) for n in range(TRACES)]
        )  # one producer each time: its flush ends before the next begins
        for n in range(TRACES):
            sent[n] += 10
        await asyncio.sleep(0.25)


async def kill(
    settings: Settings, held: Keys, folder: Path, module: tuple[str, ...], kills: int, seed: int,
    enough_of_it: Callable[[Client], bool] = lambda _: False,
) -> int:  # fmt: skip
    """Kill while events flow, or until enough is seen; returns how many were sent, once all are stored."""
    rng, enough, sent = random.Random(seed), asyncio.Event(), [0] * TRACES
    sinks = Processes(settings, folder, module)
    feeding = asyncio.create_task(pour(settings, held, first(seed), sent, enough))
    with client(settings) as db:
        try:
            sinks.start("sink")
            began = time.monotonic()
            await until(lambda: counts(db, seed)[2] > 0)
            a_start = time.monotonic() - began
            sinks.kill("sink")
            for _ in range(kills - 1):
                if enough_of_it(db):
                    break
                sinks.start("sink")
                await asyncio.sleep(a_start * rng.uniform(*LIFE))
                sinks.kill("sink")
            enough.set()
            await feeding
            sinks.start("sink")
            await until(lambda: counts(db, seed)[2] >= sum(sent))
            await asyncio.sleep(1.5)  # what comes twice comes soon after
        finally:
            enough.set()
            await feeding
            sinks.stop()
    return sum(sent)


def first(seed: int) -> int:
    """Number of the first trace of a test."""
    return seed * 1000


def boots(seed: int) -> dict[str, list[str]]:
    return {"boots": [f"b{first(seed) + n}" for n in range(TRACES)]}


def counts(db: Client, seed: int) -> tuple[int, int, int]:
    """Rows, places and events of a test."""
    rows, places, events = db.query(f"{COUNTS} WHERE {ONES}", boots(seed)).result_rows[0]
    return rows, places, events


def judge(settings: Settings, sent: int, seed: int) -> None:
    """O1, O2 and O3 of what a test has sent."""
    with client(settings) as db:
        assert counts(db, seed) == (sent, sent, sent)
        in_order: dict[str, bool] = dict(db.query(ORDER, boots(seed)).result_rows)  # type: ignore[arg-type]
        assert len(in_order) == TRACES
        assert all(in_order.values())


def test_nothing_is_lost_or_doubled(settings: Settings, held: Keys, tmp_path: Path) -> None:
    """Four kills, and everything stands in ClickHouse once, in order."""
    sent = asyncio.run(kill(settings, held, tmp_path, SINK, kills=4, seed=1))

    judge(settings, sent, seed=1)


def test_a_naive_sink_stores_twice(settings: Settings, held: Keys, tmp_path: Path) -> None:
    """The control: the same kills with Kafka's commits and without tokens leave duplicates."""

    def twice(db: Client) -> bool:
        stored, places, _ = counts(db, seed=2)
        return stored > places

    asyncio.run(kill(settings, held, tmp_path, NAIVE, kills=12, seed=2, enough_of_it=twice))

    with client(settings) as db:
        assert twice(db)


async def ghost(settings: Settings, held: Keys, folder: Path, seed: int) -> int:
    """A sink stands still with rows in its memory until another has stored them, and goes on."""
    successor = Processes(settings, folder, SINK)

    def some(events: int, after: int) -> list[list[Event]]:
        return [told(first(seed) + n, events, first=after) for n in range(TRACES)]

    with client(settings) as db:
        async with sinking(settings, held) as old:
            await send(settings, held, some(1, after=0))
            await until(lambda: counts(db, seed)[2] == TRACES, 60, old)
            await send(settings, held, some(5, after=1))
            await asyncio.sleep(AGE / 2)
            # They are read and wait for their age, but in partitions that came to the end of a chunk.
            assert counts(db, seed)[2] < 6 * TRACES
            # The successor reads these too, so his inserts end elsewhere.
            more = threading.Thread(
                target=asyncio.run, args=(send(settings, held, some(4, after=6)),)
            )
            more.start()
            try:
                successor.start("new")
                stop = time.monotonic() + 60
                while counts(db, seed)[2] < EACH * TRACES and time.monotonic() < stop:
                    time.sleep(0.1)  # noqa: ASYNC251 - the process stands still, that is the fault
                await asyncio.sleep(AGE + 2.0)
            finally:
                successor.stop()
                more.join()
        return counts(db, seed)[0]


EACH = 10  # events of each trace in the end
AGE = 3.0  # s: long enough for rows to be in memory when it stops


def test_a_sink_that_was_taken_for_dead(
    settings: Settings, held: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F14: whoever stood still asks first whether his partitions are his own: nothing is there twice."""
    monkeypatch.setattr(intake, "AGE_SECONDS", AGE)

    assert asyncio.run(ghost(settings, held, tmp_path, seed=23)) == EACH * TRACES


def test_without_asking_a_ghost_stores_twice(
    settings: Settings, held: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: tokens do not help, since chunks that end by their age are no two owners' same."""
    monkeypatch.setattr(intake, "AGE_SECONDS", AGE)
    monkeypatch.setattr(sink, "LEASE_SECONDS", float("inf"))

    assert asyncio.run(ghost(settings, held, tmp_path, seed=24)) > EACH * TRACES


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3, 23))
def test_over_many_seeds(seed: int, settings: Settings, held: Keys, tmp_path: Path) -> None:
    """Twelve kills each, as the promise was measured."""
    sent = asyncio.run(kill(settings, held, tmp_path, SINK, kills=12, seed=seed))

    judge(settings, sent, seed)
