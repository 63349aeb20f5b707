"""A person's word on the real broker: first what stops, last what relaxes, each record once."""

import asyncio
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError

from ingest import codec
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.records import Ordered
from ingest.settings import Settings
from ingest.topics import CONTROL, CONTROL_LOG, INBOX
from stream.detect.detect import Detect
from stream.outputs import Order
from stream.people import orders
from stream.people.orders import NotReleased
from tests.ordering import records, run, standing, write
from tracefuse import control, wire
from tracefuse.control import Command
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandVerifier

pytestmark = pytest.mark.kafka


class Owner:
    """The agent's owner, in place of a worker: the real core, fed by hand, writing real records."""

    def __init__(self, settings: Settings, keys: Keys, agent: str):
        self.settings, self.keys = settings, keys
        self.number = wire.partition_of(wire.agent_key("acme", agent))
        self.core = Detect(self.number, CommandVerifier(keys.command_keys))

    async def work(self) -> None:
        """Apply the agent's whole inbox; publish the commands that are new."""
        for record in await records(self.settings, INBOX, self.number):
            if record.offset > self.core.partition.offset:
                out = self.core.apply(
                    record.offset, record.timestamp / 1000, record.headers, record.value
                )
                for order in (one.command for one in out if isinstance(one, Order)):
                    await write(self.settings, order, self.keys, "auto")


async def ordered(settings: Settings, agent: str) -> list[Ordered]:
    """What people ordered, as it lies in the agent's inbox."""
    key = wire.agent_key("acme", agent)
    found = await records(settings, INBOX, wire.partition_of(key), key)
    facts = [codec.fact(line) for record in found for line in codec.lines(record.value)]
    return [fact for fact in facts if isinstance(fact, Ordered)]


@pytest.fixture(scope="module")
def place(own_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Keys]:
    settings = Settings(bootstrap=own_broker.bootstrap)
    asyncio.run(provision(settings))
    return settings, create(tmp_path_factory.mktemp("keys"))


def test_a_kill_needs_no_worker(place: tuple[Settings, Keys]) -> None:
    """With the broker alone: the control record is there, signed by a person, then inbox and log."""
    settings, keys = place
    scope = "agent:acme/alone"

    async def main() -> None:
        stop = await orders.force(settings, keys, scope, "seen it lie")
        key = control.control_key(scope, "human")
        (record,) = await records(settings, CONTROL, control.partition_of_scope(scope), key)
        (told,) = await ordered(settings, "alone")
        logged = await records(settings, CONTROL_LOG, wire.partition_of(scope), scope)
        kid = wire.header(record.headers, wire.KID).decode()
        sig = wire.header(record.headers, wire.SIG)

        assert control.decode(record.value) == stop
        assert (stop.state, stop.author, stop.term) == ("forced_open", "human", 0)
        assert CommandVerifier(keys.command_keys).verify(kid, key, record.value, sig)
        assert (told.record_id, told.payload, told.sig) == (stop.cmd_id, record.value, sig)
        assert [line.value for line in logged] == [record.value]
        assert record.timestamp <= logged[0].timestamp

    run(main)


def test_what_stops_comes_first(
    place: tuple[Settings, Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill that breaks after its first record has stopped the agent already."""
    settings, keys = place
    sent: list[str] = []
    real = orders._Desk._send

    async def recording(self: Any, topic: str, *rest: Any) -> int:
        sent.append(topic)
        return await real(self, topic, *rest)

    monkeypatch.setattr(orders._Desk, "_send", recording)
    run(lambda: orders.force(settings, keys, "agent:acme/order", "test"))

    assert sent == [CONTROL, INBOX, CONTROL_LOG]


def test_a_repeated_kill_is_one(place: tuple[Settings, Keys]) -> None:
    """The same order twice, by its id, changes the owner's state once."""
    settings, keys = place
    scope = "agent:acme/twice"
    owner = Owner(settings, keys, "twice")

    async def main() -> None:
        stop = await orders.force(settings, keys, scope, "test")
        await owner.work()
        first = await standing(settings, scope, "auto")
        await orders.force(settings, keys, scope, "test", stop.cmd_id)
        await owner.work()

        assert first is not None
        assert first.state == "forced_open"
        assert await standing(settings, scope, "auto") == first
        assert len(await ordered(settings, "twice")) == 2

    run(main)


def test_a_release_waits_for_the_owner(place: tuple[Settings, Keys]) -> None:
    """While nobody decides, a release fails, says so, and the person's record stands."""
    settings, keys = place
    scope = "agent:acme/dead"

    async def main() -> None:
        stop = await orders.force(settings, keys, scope, "test")
        with pytest.raises(NotReleased, match="no worker has let go within 1 s"):
            await orders.release(settings, keys, scope, "sorry", timeout=1.0)

        logged = await records(settings, CONTROL_LOG, wire.partition_of(scope), scope)

        assert await standing(settings, scope, "human") == stop
        assert [control.decode(line.value).state for line in logged] == ["forced_open"]
        assert (await ordered(settings, "dead"))[0].record_id == stop.cmd_id

    run(main)


def test_a_release_clears_once_the_owner_let_go(place: tuple[Settings, Keys]) -> None:
    """The owner shows half_open, then the person's record closes; a later epoch, so readers take it."""
    settings, keys = place
    scope = "agent:acme/alive"
    owner = Owner(settings, keys, "alive")

    async def until_released(task: "asyncio.Task[Command]") -> None:
        while not task.done():
            await owner.work()
            await asyncio.sleep(0.05)

    async def main() -> None:
        stop = await orders.force(settings, keys, scope, "test")
        await owner.work()
        task = asyncio.create_task(orders.release(settings, keys, scope, "fixed"))
        await until_released(task)
        await task
        auto, human = [await standing(settings, scope, who) for who in ("auto", "human")]

        assert auto is not None
        assert human is not None
        assert (auto.state, human.state) == ("half_open", "closed")
        assert human.epoch > stop.epoch

    run(main)


def test_an_old_half_open_is_no_answer(place: tuple[Settings, Keys]) -> None:
    """The owner's state from before the kill does not clear it, though it reads half_open."""
    settings, keys = place
    scope = "agent:acme/old"
    old = msgspec.structs.replace(
        orders.command(scope, "half_open", "", 1), author="auto", src=(INBOX, 0, -1, 0, 0)
    )

    async def main() -> None:
        await write(settings, old, keys, "auto")
        await asyncio.sleep(0.01)  # the broker counts milliseconds
        await orders.force(settings, keys, scope, "test")
        with pytest.raises(NotReleased):
            await orders.release(settings, keys, scope, "sorry", timeout=0.5)

    run(main)


def test_a_forged_answer_is_none(place: tuple[Settings, Keys], tmp_path: Any) -> None:
    """Half-open by a key that nobody pinned, or by the person's own, releases nothing."""
    settings, keys = place
    scope = "agent:acme/forged"
    strangers = create(tmp_path)

    async def main() -> None:
        await orders.force(settings, keys, scope, "test")
        answer = msgspec.structs.replace(
            orders.command(scope, "half_open", "", 2**60),
            author="auto",
            src=(INBOX, 0, 2**40, 0, 0),
        )
        await write(settings, answer, strangers, "auto")
        await write(settings, answer, keys, "human")
        with pytest.raises(NotReleased):
            await orders.release(settings, keys, scope, "sorry", timeout=0.5)
        # Control: the same record by the workers' key is taken.
        await write(settings, answer, keys, "auto")
        await orders.release(settings, keys, scope, "now", timeout=5.0)

    run(main)


def test_nothing_to_release_is_told(place: tuple[Settings, Keys]) -> None:
    """A scope that stands closed is not sent around."""
    settings, keys = place

    with pytest.raises(NotReleased, match="nothing to release"):
        run(lambda: orders.release(settings, keys, "agent:acme/free", "why not"))


@pytest.mark.parametrize(
    "scope", ["fleet", "fleet:", "agent:acme", "agent:a/b/c", "tool:a/b", "run:a//t", "x:a/b"]
)
def test_what_is_no_scope_of_one_person_is_refused(
    scope: str, place: tuple[Settings, Keys]
) -> None:
    """Before anything is written: the fleet takes two people, the others are typing errors."""
    settings, keys = place

    with pytest.raises(ConfigError, match="scope"):
        run(lambda: orders.force(settings, keys, scope, "test"))


def test_without_the_broker_nothing_is_claimed(place: tuple[Settings, Keys]) -> None:
    """Where the order can't be given, the person is told so."""
    _, keys = place

    with pytest.raises(KafkaConnectionError):
        run(lambda: orders.force(Settings(bootstrap="127.0.0.1:1"), keys, "agent:a/b", "test"))
