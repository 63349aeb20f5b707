"""Thirty agents of one tenant fail at once, on a real broker: three are stopped, and those under way."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.records import Braked, Census, Incident, Signal
from ingest.settings import Settings
from ingest.topics import CONTROL_LOG, EVENTS, FLEET, INBOX, INCIDENTS, SIGNALS, TOPICS
from stream.replay import replay
from tests import load
from tests.ordering import records
from tests.workers import CORRELATE, WORKER, Processes, verified
from tracefuse import control, wire
from tracefuse.clock import monotonic, now_us
from tracefuse.events import Event

pytestmark = pytest.mark.kafka

AGENTS, ALLOWED = 30, 3
# The rule needs twenty calls; the last of each agent comes so long after that of the one before it. The way
# to correlate and back took 23 ms.
CALLS, APART_SECONDS = 20, 0.3
# A third of all: far above what is under way, far below what the rules alone would stop.
STOPPED_MAX = 10
PATIENCE_SECONDS = 60.0


def call(agent: load.Agent, n: int) -> list[Event]:
    """A call of a tool that fails; each tool once, so that the agent's own rate is what counts."""
    who = {"call_id": f"{agent.agent_id}-{n}", "tool": f"tool-{n}", "args_hash": f"{n:016x}"}
    return [
        agent.event("tool.request", now_us(), **who),
        agent.event(
            "tool.result", now_us(), **who, result_hash=f"{n:016x}", status="error",
            error_type="Unavailable", duration_us=1000,
        ),
    ]  # fmt: skip


async def fail(settings: Settings, keys: Keys) -> None:
    """All agents fail nineteen times, then each once more, one after the other."""
    agents = load.agents(keys, AGENTS, seed=1)
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        for n, agent in enumerate(agents):
            agent.trace_id = f"{n + 1:032x}"
            lines = [line for k in range(CALLS - 1) for line in call(agent, k)]
            await _send(producer, agent, lines)
        await until(lambda: at_work(settings, AGENTS))
        await asyncio.sleep(3.0)  # until correlate knows it too
        for agent in agents:
            await _send(producer, agent, call(agent, CALLS))
            await asyncio.sleep(APART_SECONDS)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what other processes do."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.5)


async def owned(settings: Settings, topics: Sequence[str]) -> bool:
    """Whether each partition has an owner that lets time pass."""
    for topic in topics:
        for number in range(TOPICS[topic].partitions):
            found = await records(settings, topic, number)
            ticks = [o.timestamp for o in found if wire.header(o.headers, wire.KIND) == codec.TICK]
            if not ticks or ticks[-1] < now_us() / 1000 - 2000:
                return False
    return True


async def at_work(settings: Settings, count: int) -> bool:
    """Whether so many agents of the tenant were told to correlate."""
    latest: dict[int, int] = {}
    for record in await records(settings, FLEET, 0):
        for line in codec.lines(record.value):
            if b'"type":"census"' in line:
                fact = msgspec.json.decode(line, type=Census)
                latest[fact.src[1]] = fact.active.get(load.TENANT, latest.get(fact.src[1], 0))
    return sum(latest.values()) == count


async def _send(producer: AIOKafkaProducer, agent: load.Agent, lines: list[Event]) -> None:
    value, partition, headers = load.envelope(agent, lines)
    await producer.send_and_wait(wire.EVENTS, value, partition=partition, headers=headers)


class Outcome:
    """What the log says of one tenant afterwards."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.stopped: dict[str, int] = {}  # agents, and the inbox offset that stopped each
        self.held: set[str] = set()
        self.brakes: dict[int, list[tuple[int, Braked]]] = {}  # by inbox partition, with offsets
        self.incidents: list[Incident] = []
        self._times: dict[tuple[int, int], int] = {}  # of inbox records, ms

    @property
    def way_ms(self) -> int:
        """From the record that used up the share until the last owner had the brake before it."""
        at = sorted(
            self._times[wire.partition_of(wire.agent_key(self.tenant, agent)), offset]
            for agent, offset in self.stopped.items()
        )
        heard = [self._times[number, told[0][0]] for number, told in self.brakes.items()]
        return max(heard) - at[ALLOWED - 1]

    async def read(self, settings: Settings) -> None:
        for number in range(wire.PARTITIONS):
            for record in await records(settings, CONTROL_LOG, number):
                if wire.header(record.headers, wire.KIND) == codec.COMMANDS:
                    command = control.decode(record.value)
                    ours = command.scope.startswith(f"agent:{self.tenant}/")
                    if ours and command.reason.rule == "error_rate":
                        assert command.src is not None
                        self.stopped[command.scope.rpartition("/")[2]] = command.src[2]
            for record in await records(settings, SIGNALS, number):
                for line in codec.lines(record.value):
                    signal = msgspec.json.decode(line, type=Signal)
                    if signal.action == "step-up" and signal.tenant == self.tenant:
                        self.held.add(signal.agent_id)
            for record in await records(settings, INCIDENTS, number):
                told = [msgspec.json.decode(o, type=Incident) for o in codec.lines(record.value)]
                self.incidents += [one for one in told if one.tenant == self.tenant]
            for record in await records(settings, INBOX, number):
                self._times[number, record.offset] = record.timestamp
                if wire.header(record.headers, wire.KIND) == codec.INBOX:
                    for line in codec.lines(record.value):
                        fact = codec.fact(line)
                        if isinstance(fact, Braked) and fact.tenant == self.tenant:
                            self.brakes.setdefault(number, []).append((record.offset, fact))


def play(
    place: tuple[Settings, Keys], folder: Path, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Outcome, replay.Report]:
    """Thirty agents of `load.TENANT` fail while these processes run."""
    settings, keys = place
    processes = Processes(settings, folder)
    topics = (EVENTS, INBOX, FLEET) if "correlate" in modules else (EVENTS, INBOX)

    async def main() -> tuple[Outcome, replay.Report]:
        for name, module in modules.items():
            processes.start(name, *module)
        await until(lambda: owned(settings, topics))
        await fail(settings, keys)
        await until(over)
        await asyncio.sleep(2.0)  # whoever is stopped wrongly is stopped now
        processes.stop()
        outcome = Outcome(load.TENANT)
        await outcome.read(settings)
        return outcome, await verified(settings, keys)

    async def over() -> bool:
        outcome = Outcome(load.TENANT)
        await outcome.read(settings)
        told = {one.agent_id for one in outcome.incidents} if FLEET in topics else outcome.held
        return len(outcome.stopped.keys() | (outcome.held & told)) == AGENTS

    try:
        return asyncio.run(main())
    finally:
        processes.stop()


@pytest.fixture(scope="module")
def place(own_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Keys]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(bootstrap=own_broker.bootstrap, home=str(home))
    asyncio.run(provision(settings))
    return settings, create(settings.keys_folder)


@pytest.fixture
def tenant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tenant of this test alone: both play on one broker."""
    name: str = request.node.name.replace("_", "-")
    monkeypatch.setattr(load, "TENANT", name)
    return name


def test_without_correlate_all_are_stopped(
    place: tuple[Settings, Keys], tmp_path: Path, tenant: str
) -> None:
    """Control: the same failure, and nobody who counts."""
    found, report = play(place, tmp_path, {"w1": WORKER, "w2": WORKER})

    assert len(found.stopped) == AGENTS
    assert found.held == set() and found.brakes == {}
    assert report.exit_code == replay.SAME, replay.words(report)


def test_a_tenth_is_stopped_and_what_was_under_way(
    place: tuple[Settings, Keys], tmp_path: Path, tenant: str
) -> None:
    """The rest are incidents; nobody is stopped by an owner that has heard; replay finds the same."""
    workers = {"w1": WORKER, "w2": WORKER}
    modules = workers | {"correlate": CORRELATE}
    found, report = play(place, tmp_path, modules)
    print(f"{len(found.stopped)} stopped, {len(found.held)} held back; told in {found.way_ms} ms")

    assert ALLOWED <= len(found.stopped) <= STOPPED_MAX
    assert len(found.held | found.stopped.keys()) == AGENTS
    assert not found.held & found.stopped.keys()
    told = {one.agent_id for one in found.incidents if one.action == "step-up"}
    assert told >= found.held
    assert len([one for one in found.incidents if one.detector == "brake"]) == 1
    for agent, offset in found.stopped.items():
        number = wire.partition_of(wire.agent_key(tenant, agent))
        assert offset < min(at for at, fact in found.brakes[number] if fact.until)
    assert report.exit_code == replay.SAME, replay.words(report)
    assert report.compared["braked"] >= wire.PARTITIONS
    assert report.compared["census"] > 0
