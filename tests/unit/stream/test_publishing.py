"""From outputs to records: what is sent where, in which order, and when it counts as sent."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple

import msgspec
import pytest

from ingest import codec
from ingest.topics import CONTROL, CONTROL_LOG, FLEET, INBOX, SIGNALS
from stream.outputs import Forget, Line, Order, Output
from stream.worker.publishing import BATCHES_MAX, RECORD_BYTES_MAX, Publisher, Underway
from tests.pipe import AUTO, VERIFIER
from tracefuse import control, wire
from tracefuse.control import Command, Reason

SCOPE = "agent:acme/refunds"
ORDER = Order(
    Command(
        cmd_id="cmd-1", scope=SCOPE, author="auto", action="open", state="open", epoch=7,
        reason=Reason(rule="error_rate"), src=(INBOX, 0, 1, 0, 0),
    )
)  # fmt: skip


class Sent(NamedTuple):
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Producer:
    """What is sent, in order; an acknowledgement comes when `answer` is called."""

    def __init__(self, refuse: str = "") -> None:
        self.sent: list[Sent] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.refuse = refuse

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Any = None,
    ) -> asyncio.Future[None]:
        assert partition is not None
        self.sent.append(Sent(topic, partition, key, value, dict(headers or [])))
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        if topic == self.refuse:
            answer.set_exception(OSError("the broker is away"))
        return answer

    def answer(self) -> None:
        for waiting in self.waiting:
            if not waiting.done():
                waiting.set_result(None)


def published(*outputs: Output, producer: Producer | None = None) -> list[Sent]:
    """Records of outputs; the broker answers them all."""
    producer = producer or Producer()

    async def run() -> None:
        sent = await Publisher(producer, AUTO).publish(outputs, term=41, issued_at=1_000_001)
        producer.answer()
        await sent

    asyncio.run(run())
    return producer.sent


def line(topic: str, key: str, value: bytes, kind: bytes = codec.SIGNALS) -> Line:
    return Line(topic, key, kind, value)


def test_lines_share_a_record_by_topic_partition_and_kind() -> None:
    """In the order in which they were said."""
    here, there = "acme/refunds", "acme/search"
    assert wire.partition_of(here) != wire.partition_of(there)
    sent = published(
        line(SIGNALS, here, b"1"), line(FLEET, "", b"2", codec.SUMMARIES),
        line(SIGNALS, there, b"3"), line(SIGNALS, here, b"4"), line(SIGNALS, here, b"5", b"other"),
    )  # fmt: skip

    assert [(s.topic, s.partition, s.value, s.headers[wire.KIND]) for s in sent] == [
        (SIGNALS, wire.partition_of(here), b"1\n4", codec.SIGNALS),
        (FLEET, 0, b"2", codec.SUMMARIES),
        (SIGNALS, wire.partition_of(there), b"3", codec.SIGNALS),
        (SIGNALS, wire.partition_of(here), b"5", b"other"),
    ]
    assert {s.headers[wire.VERSION] for s in sent} == {b"1.0"}


def test_a_record_holds_fifty_lines_and_half_a_megabyte() -> None:
    """Nothing is lost between two records, and a long line goes alone."""
    many = [line(SIGNALS, "k", b"%d" % n) for n in range(120)]
    long = [line(SIGNALS, "k", bytes([65 + n]) * size)
            for n, size in enumerate((RECORD_BYTES_MAX - 5, 10, RECORD_BYTES_MAX + 100, 1))]  # fmt: skip
    short, large = published(*many), published(*long)

    assert [s.value.count(b"\n") + 1 for s in short if s.value] == [50, 50, 20]
    assert b"\n".join(s.value for s in short if s.value) == b"\n".join(m.value for m in many)
    assert [[len(v) for v in s.value.split(b"\n")] for s in large if s.value] == [
        [RECORD_BYTES_MAX - 5], [10], [RECORD_BYTES_MAX + 100], [1],
    ]  # fmt: skip


def test_a_command_goes_to_control_then_to_its_log() -> None:
    """Signed over the very bytes, with the term and the time that the cores do not know."""
    first, second = published(ORDER)
    key = control.control_key(SCOPE, "auto")
    assert first.value is not None
    command = control.decode(first.value)

    assert (first.topic, first.key, first.partition) == (
        CONTROL, key.encode(), control.partition_of_scope(SCOPE),
    )  # fmt: skip
    assert (second.topic, second.key) == (CONTROL_LOG, SCOPE.encode())
    assert second.value == first.value
    assert second.headers == first.headers
    assert (command.term, command.issued_at) == (41, 1_000_001)
    assert msgspec.structs.replace(command, term=0, issued_at=0) == ORDER.command
    assert VERIFIER.verify(AUTO.kid, key, first.value, first.headers[wire.SIG])


def test_commands_leave_before_lines() -> None:
    """Somebody is waiting for them; among each other they keep their order."""
    close = Order(msgspec.structs.replace(ORDER.command, cmd_id="cmd-2", state="closed"))
    sent = published(line(SIGNALS, "k", b"1"), ORDER, line(SIGNALS, "k", b"2"), close)
    commands = [control.decode(s.value).cmd_id for s in sent if s.topic == CONTROL and s.value]

    assert [s.topic for s in sent] == [CONTROL, CONTROL_LOG, CONTROL, CONTROL_LOG, SIGNALS]
    assert commands == ["cmd-1", "cmd-2"]


def test_a_scope_that_has_ended_gets_a_tombstone() -> None:
    """Where its command was: same key, same partition, no value, signed; behind the command."""
    key = control.control_key(SCOPE, "auto")
    command, _, gone = published(ORDER, Forget(key))

    assert (gone.topic, gone.key, gone.partition, gone.value) == (
        CONTROL, command.key, command.partition, None,
    )  # fmt: skip
    kid, sig = gone.headers[wire.KID].decode(), gone.headers[wire.SIG]
    assert VERIFIER.verify(kid, key, b"", sig)


def test_it_tells_when_the_broker_has_everything() -> None:
    """What it returns is done with the last acknowledgement, not before."""

    async def run() -> tuple[bool, bool]:
        producer = Producer()
        outputs: list[Output] = [ORDER, line(SIGNALS, "k", b"1")]
        sent = asyncio.ensure_future(await Publisher(producer, AUTO).publish(outputs, 1, 1))
        for waiting in producer.waiting[:-1]:
            waiting.set_result(None)
        await asyncio.sleep(0.01)
        early = sent.done()
        producer.answer()
        await sent
        return early, sent.done()

    assert asyncio.run(run()) == (False, True)


@pytest.mark.parametrize("topic", [CONTROL, CONTROL_LOG, SIGNALS])
def test_what_was_not_sent_is_an_error(topic: str) -> None:
    """The worker then ends and begins again at its checkpoint; nothing is taken for sent."""
    with pytest.raises(OSError, match="away"):
        published(ORDER, line(SIGNALS, "k", b"1"), producer=Producer(refuse=topic))


def test_nothing_said_is_nothing_sent() -> None:
    """A quiet batch costs no record."""
    assert published() == []


def test_who_has_no_key_gives_no_commands() -> None:
    """Join and correlate decide nothing for agents: that would be a programmer's mistake."""
    with pytest.raises(AssertionError, match="only a worker"):
        asyncio.run(Publisher(Producer()).publish([ORDER], 1, 1))


class Broker:
    """Acknowledges batches when it is told to."""

    def __init__(self) -> None:
        self.underway, self.heard = Underway(), 0
        self._asked: list[asyncio.Future[None]] = []

    def take(self, batches: int) -> None:
        for _ in range(batches):
            self._asked.append(asyncio.get_running_loop().create_future())
            self.underway.add(self._asked[-1], self._hear)

    def _hear(self) -> None:
        self.heard += 1

    def answer(self, number: int) -> None:
        self._asked[number].set_result(None)

    def refuse(self, number: int) -> None:
        self._asked[number].set_exception(OSError("refused"))


async def waits(what: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """The call, if it waits; None if it has returned."""
    task = asyncio.create_task(what)
    await asyncio.sleep(0.01)
    return None if task.done() and task.result() is None else task


def test_so_many_batches_are_under_way_and_no_more() -> None:
    """One more waits for the oldest, though others are acknowledged; each is heard once."""

    async def run() -> None:
        broker = Broker()
        broker.take(BATCHES_MAX - 1)
        assert await waits(broker.underway.room()) is None
        broker.take(1)
        room = await waits(broker.underway.room())
        assert room is not None
        broker.answer(1)
        await asyncio.sleep(0.01)
        assert not room.done()
        broker.answer(0)
        await room
        assert broker.heard == 2

    asyncio.run(run())


def test_what_is_acknowledged_is_not_waited_for() -> None:
    """Not even a turn of the loop, in which another topic's batch would go first."""

    async def run() -> None:
        broker = Broker()
        broker.take(3)
        for number in range(3):
            broker.answer(number)
        await asyncio.sleep(0.01)
        with pytest.raises(StopIteration):
            broker.underway.room().send(None)

    asyncio.run(run())


def test_settled_are_all_that_have_left() -> None:
    """Those that leave later are not waited for."""

    async def run() -> None:
        broker = Broker()
        assert await waits(broker.underway.settled()) is None
        broker.take(2)
        settled = await waits(broker.underway.settled())
        assert settled is not None
        broker.take(1)
        broker.answer(1)
        await asyncio.sleep(0.01)
        assert not settled.done()
        broker.answer(0)
        await settled
        assert await waits(broker.underway.settled()) is not None

    asyncio.run(run())


def test_what_the_broker_refused_is_not_forgotten() -> None:
    """Neither a further batch nor a checkpoint passes it, however often they try."""

    async def run() -> None:
        broker = Broker()
        broker.take(2)
        broker.answer(0)
        broker.refuse(1)
        await broker.underway.room()
        for _ in range(2):
            for ask in (broker.underway.room, broker.underway.settled):
                await asyncio.sleep(0.01)
                with pytest.raises(OSError, match="refused"):
                    await ask()

    asyncio.run(run())


def test_who_stops_waiting_takes_nothing_back() -> None:
    """A cancelled save leaves the outputs on their way."""

    async def run() -> None:
        broker = Broker()
        broker.take(BATCHES_MAX)
        for ask in (broker.underway.room, broker.underway.settled):
            waiting = await waits(ask())
            assert waiting is not None
            waiting.cancel()
            await asyncio.sleep(0.01)
        for number in range(BATCHES_MAX):
            broker.answer(number)
        await broker.underway.settled()
        assert broker.heard == BATCHES_MAX

    asyncio.run(run())
