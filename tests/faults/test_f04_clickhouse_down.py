"""F04: ClickHouse is killed, hangs, refuses, or does not say how an insert ended. Nothing is lost or doubled.

The sink keeps its place in the group meanwhile and commits nothing; nobody upstream reads ClickHouse.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from ingest import keys
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from ingest.topics import PARTITIONS
from sql.migrate import migrate
from sql.server import Store
from stream.sink import intake, sink, tables
from stream.sink.columns import Block
from stream.sink.tables import Tables
from tests.sinking import LINES, batch, client, ends, send, sinking, stored, through, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Stack = tuple[Settings, Keys, Store]


@pytest.fixture
def own(own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A store to be hurt, and a group of its own, so that each test reads all of the topic."""
    monkeypatch.setattr(sink, "GROUP", f"sink-{tmp_path.name}")
    monkeypatch.setattr(tables, "ANSWER_SECONDS", 2)  # 30 in earnest: a test need not wait
    with Store(tmp_path / "store") as store:
        with clickhouse_connect.get_client(host=store.host, port=store.port) as connected:
            migrate(connected)
        settings = Settings(home=str(tmp_path), bootstrap=own_broker.bootstrap)
        settings = replace(settings, clickhouse=f"{store.host}:{store.port}")
        asyncio.run(provision(settings))
        held = keys.create(tmp_path.parent / "keys")  # one agent key for all tests of this file
        yield settings, held, store


def test_it_is_killed_and_comes_back(own: Stack) -> None:
    """On the same directory: what was acknowledged is there, the rest follows by itself."""
    _, _, store = own

    asyncio.run(through(own[:2], 1, store.kill, store.start))


def test_it_hangs(own: Stack) -> None:
    """Inserts time out, their outcome unknown; the same block under the same token tells."""
    _, _, store = own

    def signalled(number: int) -> Any:
        return lambda: os.kill(store.pid, number)

    asyncio.run(through(own[:2], 3, signalled(signal.SIGSTOP), signalled(signal.SIGCONT)))


def test_it_refuses(own: Stack) -> None:
    """Errors that it answers are tried again like those of the network: nothing is skipped."""
    settings, _, _ = own

    def rename(old: str, new: str) -> Any:
        def call() -> None:
            with client(settings) as db:
                parts = {"old": old, "new": new}
                db.command("RENAME TABLE {old:Identifier} TO {new:Identifier}", parts)

        return call

    asyncio.run(through(own[:2], 5, rename("events", "away"), rename("away", "events")))


async def unanswered(own: Stack, number: int) -> tuple[int, int, int]:
    """Every first try of an insert is stored, and its answer is lost."""
    settings, held, _ = own
    async with sinking(settings, held) as task:
        await send(settings, held, batch(number))
        total = await ends(settings)
        await until(lambda: stored(settings)[2] == total, 60, task)
        await asyncio.sleep(3 * sink.RETRY_SECONDS + 1)
    return stored(settings)


def losing(monkeypatch: pytest.MonkeyPatch, tokens: bool) -> None:
    real, tries = Tables.insert, itertools.count()

    def insert(self: Tables, block: Block, token: str) -> None:
        n = next(tries)
        real(self, block, token if tokens else f"{token}-{n}")
        if n % 2 == 0:
            raise TimeoutError("the answer was lost")

    monkeypatch.setattr(Tables, "insert", insert)
    monkeypatch.setattr(sink, "INSERTS", 1)  # tries alternate


def test_a_lost_answer_doubles_nothing(own: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that is sent again has been stored: its token says so."""
    losing(monkeypatch, tokens=True)
    rows, places, events = asyncio.run(unanswered(own, 7))

    assert rows == places == events


def test_without_tokens_a_lost_answer_doubles(own: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    losing(monkeypatch, tokens=False)
    rows, places, _ = asyncio.run(unanswered(own, 8))

    assert rows > places


@pytest.mark.soak
def test_five_minutes_down(own: Stack) -> None:
    """As long as the promise: 300 s without ClickHouse under load, bounded memory, then all is there."""
    settings, held, store = own

    async def play() -> int:
        async with sinking(settings, held) as task:
            await asyncio.to_thread(store.kill)
            for number in range(10, 10 + 300):
                await send(settings, held, batch(number))
                await asyncio.sleep(0.9)
            await asyncio.to_thread(store.start)
            total = await ends(settings)
            await until(lambda: stored(settings)[2] == total, 120, task)
            await asyncio.sleep(1.0)
            return total

    total = asyncio.run(play())

    assert stored(settings) == (total, total, total)
    assert total > intake.CHUNKS_HELD * intake.CHUNK_OFFSETS * PARTITIONS * LINES
