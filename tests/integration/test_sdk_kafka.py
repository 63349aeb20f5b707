"""The SDK against a real broker: events out, commands in, and how fast."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

import tracefuse
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import lines, read
from tracefuse import wire
from tracefuse.clock import monotonic, now_us
from tracefuse.control import (
    Command,
    Reason,
    State,
    agent_scope,
    control_key,
    encode,
    partition_of_scope,
    run_scope,
)
from tracefuse.errors import CircuitOpen
from tracefuse.events import Event
from tracefuse.signing import envelope_mac

pytestmark = pytest.mark.kafka

AGENT = agent_scope("acme", "refunds")
WAIT_SECONDS = 10.0


class Desk:
    """A worker's hand: writes commands; keeps its producer, so that only the way is measured."""

    def __init__(self, broker: Broker, keys: Keys) -> None:
        self.broker, self.keys = broker, keys
        self.loop = asyncio.new_event_loop()
        self.producer = self.loop.run_until_complete(self._start())

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap)
        await producer.start()
        return producer

    def tell(self, command: Command, kid: str = "") -> float:
        """Write a command; the moment before, monotonic seconds."""
        signer = self.keys.signer(command.author)
        key, payload = control_key(command.scope, command.author), encode(command)
        headers = [(wire.KID, (kid or signer.kid).encode()), (wire.SIG, signer.sign(key, payload))]
        began = monotonic()
        self.loop.run_until_complete(
            self.producer.send_and_wait(
                wire.CONTROL, payload, key.encode(),
                partition=partition_of_scope(command.scope), headers=headers,
            )
        )  # fmt: skip
        return began

    def close(self) -> None:
        self.loop.run_until_complete(self.producer.stop())
        self.loop.close()


@pytest.fixture
def desk(fresh_broker: Broker, tmp_path: Path) -> Iterator[Desk]:
    asyncio.run(provision(Settings(bootstrap=fresh_broker.bootstrap)))
    made = Desk(fresh_broker, create(tmp_path / "keys"))
    yield made
    made.close()


def start(desk: Desk, **settings: object) -> tracefuse.Fuse:
    return tracefuse.init(
        bootstrap=desk.broker.bootstrap,
        credential=desk.keys.credential("acme", "refunds"),
        **settings,  # type: ignore[arg-type]
    )


def command(state: State, epoch: int, scope: str = AGENT) -> Command:
    return Command(
        cmd_id=f"c-{epoch}", scope=scope, author="auto", action="open", state=state, epoch=epoch,
        reason=Reason("loop"), issued_at=now_us(),
    )  # fmt: skip


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that the background thread does."""
    deadline = monotonic() + WAIT_SECONDS
    while not condition():
        assert monotonic() < deadline, what
        time.sleep(0.002)


def _heard(fuse: tracefuse.Fuse, count: int) -> bool:
    return len(fuse.changes) == count


def stored(desk: Desk) -> list[Event]:
    return [event for _, event in lines(asyncio.run(read(desk.broker.bootstrap, wire.EVENTS)))]


def test_records_are_what_the_wire_says(desk: Desk) -> None:
    """Each in the partition of its lines' key, proved by its MAC, at most 50 lines."""
    fuse = start(desk)
    for number in range(5):
        with fuse.trace(task=f"t{number}") as trace:
            for step in range(30):
                trace.thought(f"step {step}")
    fuse.close()
    records = asyncio.run(read(desk.broker.bootstrap, wire.EVENTS))
    credential = desk.keys.credential("acme", "refunds")

    assert len(lines(records)) == 160
    for record in records:
        found = [event for _, event in lines([record])]
        assert len(found) <= wire.LINES_MAX
        for event in found:
            key = wire.trace_key("acme", event.trace_id)
            assert record.partition == wire.partition_of(key)
        mac = envelope_mac(credential.envelope_key, credential.kid, False, record.value)
        assert wire.header(record.headers, wire.MAC) == mac
        assert wire.header(record.headers, wire.KIND) == b"events"


def test_a_run_beats_once_a_second(desk: Desk) -> None:
    """Heartbeats tell that the process lives, also while its own thread is busy elsewhere."""
    fuse = start(desk)
    with fuse.trace(task="long") as trace:
        time.sleep(3.3)
    fuse.close()
    beats = [event for event in stored(desk) if event.name == "heartbeat"]

    assert 2 <= len(beats) <= 4
    assert {event.trace_id for event in beats} == {trace.trace_id}


def test_a_stop_reaches_a_running_agent_and_is_acknowledged(desk: Desk) -> None:
    """The next call is refused; the acknowledgement names the command and the moment."""
    fuse = start(desk)
    heard: list[Command] = []
    fuse.on_change(heard.append)
    with fuse.trace() as trace:
        stop = command("open", 7, run_scope("acme", "refunds", trace.trace_id))
        desk.tell(stop)
        until(lambda: heard, "no change of the gate")
        with pytest.raises(CircuitOpen), trace.tool("crm.refund"):
            pass
    fuse.close()

    (applied,) = [event for event in stored(desk) if event.name == "control.applied"]
    assert applied.attrs == {
        "cmd_id": "c-7", "scope": stop.scope, "term": 0, "epoch": 7, "state": "open",
    }  # fmt: skip
    assert applied.trace_id == trace.trace_id
    assert applied.emitted_at == fuse.changes[0].at_us
    assert heard == [stop]


def test_a_stop_from_before_the_start_is_obeyed(desk: Desk) -> None:
    """A starting agent reads what stands; the acknowledgement bears its boot's trace."""
    desk.tell(command("open", 3))
    fuse = start(desk, access={"crm.refund": "irreversible"})
    trace = fuse.trace()
    with pytest.raises(CircuitOpen, match="loop"), trace, trace.tool("crm.refund"):
        pass
    fuse.close()

    (applied,) = [event for event in stored(desk) if event.name == "control.applied"]
    assert applied.trace_id == fuse.boot.trace_id != trace.trace_id


def test_a_forged_command_is_ignored_and_reported(desk: Desk) -> None:
    """A signature under another's name changes nothing and leaves a trace in the record."""
    fuse = start(desk)
    desk.tell(command("open", 9), kid="auto/none")
    until(lambda: fuse.gate.rejected, "the forged command was not seen")
    with fuse.trace() as trace, trace.tool("crm.refund"):
        pass
    fuse.close()

    (rejected,) = [event for event in stored(desk) if event.name == "x.control_rejected"]
    assert rejected.attrs["reason"] == "signature"
    assert fuse.stats()["control_rejected"] == {"signature": 1}


def test_losing_the_broker_relaxes_nothing(desk: Desk) -> None:
    """A stopped agent stays stopped while the broker is away, and hears the release afterwards."""
    fuse = start(desk)
    desk.tell(command("open", 1))
    until(lambda: fuse.changes, "the stop was not heard")
    desk.broker.kill()
    with pytest.raises(CircuitOpen), fuse.trace() as trace, trace.tool("t"):
        pass
    desk.broker.start()
    desk.tell(command("closed", 2))
    until(lambda: len(fuse.changes) == 2, "the release was not heard")
    with fuse.trace() as trace, trace.tool("t"):
        pass
    fuse.close()

    assert fuse.stats()["control_rejected"] == {}


def test_a_command_takes_milliseconds(desk: Desk) -> None:
    """From the worker's write to the gate: median below 50 ms, with an idle broker 3 to 5."""
    fuse = start(desk)
    until(lambda: fuse.gate.ready, "no snapshot")
    took = []
    for epoch in range(1, 31):
        began = desk.tell(command("open" if epoch % 2 else "closed", epoch))
        until(partial(_heard, fuse, epoch), "not heard")
        took.append(fuse.changes[-1].at - began)
    fuse.close()

    assert statistics.median(took) < 0.05


def test_an_agent_starts_without_a_broker(tmp_path: Path) -> None:
    """Nothing raises, and a read that is declared as one does not wait; the events do, for the next start."""
    credential = create(tmp_path / "keys").credential("acme", "refunds")
    began = monotonic()
    fuse = tracefuse.init(
        bootstrap="127.0.0.1:1", credential=credential, spool=tmp_path / "spool",
        access={"t": "read"},
    )  # fmt: skip
    with fuse.trace() as trace, trace.tool("t"):
        pass
    fuse.close(timeout=0.5)

    assert monotonic() - began < 10.0
    assert fuse.stats()["dropped"] == {}
    assert fuse.stats()["spooled"] == 4
