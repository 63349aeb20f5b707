"""Real embedded services for the tests that ask for them, and blocked sockets for all others.

`broker` and `store` start once per session, when first asked for. Topic names are fixed in the code, so
a file that runs the pipeline takes `own_broker`; `database` gives each file tables of its own.
"""

import asyncio
import gc
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from ingest import jars, keys
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from sql.migrate import migrate
from sql.server import Store
from tracefuse import fuse

SHARED = Path(__file__).parents[2] / "shared"
MARKS = ("kafka", "clickhouse", "net", "soak")


class SocketUsed(AssertionError):
    """A test that is not marked for it wanted the network."""


def pytest_collection_finish() -> None:
    """Keep the collector from all tests and modules: it took longer than what some tests time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail an unmarked test that connects anywhere, also where the code swallows the error.

    Listening is no harm, and Unix sockets are how asyncio talks to itself.
    """
    if any(request.node.get_closest_marker(mark) for mark in MARKS):
        yield
        return
    used: list[object] = []

    def guarded(name: str) -> Callable[..., Any]:
        real = getattr(socket.socket, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            if self.family == socket.AF_UNIX:
                return real(self, *arguments)
            used.append(arguments[-1])
            raise SocketUsed(_advice(arguments[-1]))

        return call

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guarded(name))
    yield
    if used:
        pytest.fail(_advice(used[0]), pytrace=False)


def _advice(address: object) -> str:
    return (
        f"attempted to reach {address} in a test that is not marked: use @pytest.mark.kafka,"
        " @pytest.mark.clickhouse, or @pytest.mark.net for a server that the test starts itself"
    )


@pytest.fixture(autouse=True)
def fuses() -> Iterator[None]:
    """Close what a failed test left open: its sender would go on, in the time of other tests."""
    before = list(fuse._living)
    yield
    for left in [one for one in fuse._living if one not in before]:
        left.close(timeout=0.2)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One embedded Kafka for everybody; use topics of your own (`prefix`)."""
    yield from _broker(tmp_path_factory.mktemp("broker"))


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An embedded Kafka of this file alone: its topics may bear the catalogue's names."""
    yield from _broker(tmp_path_factory.mktemp("broker"))


def _broker(folder: Path) -> Iterator[Broker]:
    try:
        jars.class_path()
    except jars.JarError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO BROKER, NOT TESTED: {error}")
    with Broker(folder) as started:
        yield started


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One embedded ClickHouse for everybody; use a database of your own (`database`)."""
    with Store(tmp_path_factory.mktemp("store")) as started:
        yield started


@pytest.fixture(scope="module")
def prefix(request: pytest.FixtureRequest) -> str:
    """A name that no other file uses, for topics, groups and the like."""
    return f"{_name(request)}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest, store: Store) -> Iterator[str]:
    """A fresh database with the current schema, dropped when the file is done."""
    name = f"{_name(request)}_{uuid.uuid4().hex[:8]}"
    with clickhouse_connect.get_client(host=store.host, port=store.port) as client:
        client.command(f"CREATE DATABASE `{name}`")
    with clickhouse_connect.get_client(host=store.host, port=store.port, database=name) as client:
        migrate(client)
        yield name
        client.command(f"DROP DATABASE `{name}`")


@pytest.fixture(scope="module")
def settings(
    own_broker: Broker, store: Store, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of a pipeline on services of this file: own broker, own database, own folder."""
    return Settings(
        home=str(tmp_path_factory.mktemp("home")),
        bootstrap=own_broker.bootstrap,
        clickhouse=f"{store.host}:{store.port}",
        clickhouse_database=database,
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the checkout, never inside; users do not have it."""
    if not SHARED.is_dir():
        pytest.skip("NO SHARED DATA, NOT TESTED: ../shared is absent")
    return SHARED


def _name(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W", "_", Path(str(request.path)).stem)


@pytest.fixture
def fresh_broker(tmp_path: Path) -> Iterator[Broker]:
    """An embedded Kafka of one test alone, for faults that leave nothing usable behind."""
    yield from _broker(tmp_path / "broker")


@pytest.fixture
def stack(fresh_broker: Broker, tmp_path: Path) -> tuple[Settings, Keys]:
    """Topics and keys on a broker of one test."""
    settings = Settings(home=str(tmp_path), bootstrap=fresh_broker.bootstrap)
    asyncio.run(provision(settings))
    return settings, keys.create(settings.keys_folder)
