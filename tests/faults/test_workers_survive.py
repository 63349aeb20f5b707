"""Workers against a broker that goes away, a worker that is taken for dead, and kills while stopped.

F02 broker restart, F14 zombie, F28 a stop outlives its worker. The log is the judge: `replay.verify`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition

from ingest import codec
from ingest.broker import Broker
from ingest.keys import Keys
from ingest.reading import reader
from ingest.records import Src
from ingest.settings import Settings
from ingest.topics import CONTROL, EVENTS, INBOX, PARTITIONS
from stream.replay import replay
from stream.worker import checkpoint
from stream.worker.watchdog import ENDING_SECONDS, UNKNOWN_SECONDS
from tests.workers import WORKER, Poured, Processes, pour, verified
from tracefuse import control, wire
from tracefuse.control import Command

pytestmark = pytest.mark.kafka

Stack = tuple[Settings, Keys]
# Two ticks a second, and a worker that hears nothing else saves every ten seconds.
TAIL = 60
PATIENCE_SECONDS = 60.0
OPEN_MIN = 3  # scopes that must stand open, or a test of stops proves nothing
CARELESS = "tests.faults.careless_worker"


async def lines_in(settings: Settings, topic: str) -> int:
    """Event lines that the broker holds."""
    return sum(
        value.count(b"\n") + 1
        for _, value, headers in await records(settings, topic)
        if value and dict(headers).get("kind") == b"events"
    )


async def records(settings: Settings, topic: str) -> list[tuple[bytes, bytes, list]]:  # type: ignore[type-arg]
    """All records of a topic: key, value, headers."""
    found = []
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    async with reader(settings.bootstrap) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += [(r.key, r.value, list(r.headers)) for r in batch]
    return found


async def standing(settings: Settings) -> dict[str, Command]:
    """The newest command of each scope, as the compacted topic tells it."""
    newest: dict[str, Command] = {}
    for key, value, _ in await records(settings, CONTROL):
        if key.startswith(b"alive:"):
            continue  # a sign of life says nothing of a scope
        if value:
            newest[key.decode()] = control.decode(value)
        else:
            newest.pop(key.decode(), None)
    return newest


async def until_true(
    ask: Callable[[], Awaitable[bool]], processes: Processes | None = None
) -> None:
    """Wait for a condition; bring back what ended, as a supervisor does, where processes are given."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await ask():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        if processes is not None:
            processes.revive()
        await asyncio.sleep(0.5)


async def behind(settings: Settings, keys: Keys) -> list[int]:
    """Records of each events partition that the last checkpoint has not seen, the most first."""
    places = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
    readers = await checkpoint.read(settings.bootstrap, range(PARTITIONS), keys.state_key)
    async with reader(settings.bootstrap) as consumer:
        ends = await consumer.end_offsets(places)
    saved = [readers[tp.partition].saved(*tp) for tp in places]
    seen = [one.marker.offset if one is not None else -1 for one in saved]
    return sorted((ends[tp] - 1 - at for tp, at in zip(places, seen, strict=True)), reverse=True)


async def caught_up(settings: Settings, keys: Keys) -> bool:
    """Whether nothing but ticks is left that the last checkpoint has not seen."""
    return (await behind(settings, keys))[0] <= TAIL


def test_a_broker_restart(stack: Stack, fresh_broker: Broker, tmp_path: Path) -> None:
    """F02: the broker ends and is killed, 5 s each; producer and worker go on alone, nothing is lost."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> Poured:
        until = asyncio.Event()
        processes.start("w1")
        await processes.ready("w1")
        pouring = asyncio.create_task(pour(settings, keys, 3, until))
        for end in (fresh_broker.stop, fresh_broker.kill):
            await asyncio.sleep(4.0)
            await asyncio.to_thread(end)
            await asyncio.sleep(5.0)
            await asyncio.to_thread(fresh_broker.start)
        await asyncio.sleep(8.0)
        until.set()
        return await pouring

    try:
        poured = asyncio.run(play())
        stored = asyncio.run(lines_in(settings, EVENTS))

        async def compared() -> bool:
            return (await replay.verify(settings, keys)).compared["step"] > poured.acked / 4

        asyncio.run(until_true(compared, processes))
        time.sleep(2.0)
    finally:
        processes.stop()
    report = asyncio.run(verified(settings, keys))

    assert poured.acked > 5_000
    assert poured.acked <= stored <= poured.sent
    assert report.exit_code == replay.SAME, replay.words(report)


def test_a_worker_ends_when_it_is_told(stack: Stack, tmp_path: Path) -> None:
    """One whose client never lets go of the broker has ended in ten seconds all the same."""
    settings, _ = stack
    processes = Processes(settings, tmp_path, (CARELESS, "clinging"))
    processes.start("w1")
    try:
        asyncio.run(processes.ready("w1"))
        assert processes.running["w1"].poll() is None, processes.log("w1")
        processes.running["w1"].terminate()
        ended = processes.running["w1"].wait(ENDING_SECONDS + PATIENCE_SECONDS)
    finally:
        processes.stop()

    assert ended == os.EX_TEMPFAIL, processes.log("w1")


class Said(msgspec.Struct):
    """Of a record in the inbox, what it was computed from."""

    src: Src


async def said(settings: Settings) -> dict[int, int]:
    """The last offset of each events partition from which something stands in the inbox."""
    found: dict[int, int] = {}
    for _, value, headers in await records(settings, INBOX):
        if dict(headers).get(wire.KIND) != codec.INBOX:
            continue
        for line in codec.lines(value):
            _, number, offset, _, _ = msgspec.json.decode(line, type=Said).src
            found[number] = max(offset, found.get(number, -1))
    return found


def test_a_worker_that_ends_leaves_nothing_to_repeat(stack: Stack, tmp_path: Path) -> None:
    """Told to end before its first save is due, it saves all that it has told others."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> None:
        until = asyncio.Event()
        pouring = asyncio.create_task(pour(settings, keys, 6, until))
        await asyncio.sleep(3.0)
        until.set()
        await pouring
        processes.start("w1")
        while not await said(settings):
            assert processes.running["w1"].poll() is None, processes.log("w1")
            await asyncio.sleep(0.05)

    try:
        asyncio.run(play())
    finally:
        processes.stop()
    told = asyncio.run(said(settings))
    readers = asyncio.run(checkpoint.read(settings.bootstrap, told, keys.state_key))
    saved = {number: readers[number].saved(EVENTS, number) for number in told}

    assert len(told) > PARTITIONS / 2
    for number, offset in told.items():
        one = saved[number]
        assert one is not None and one.marker.offset >= offset, (number, offset)


@pytest.mark.parametrize(("worker", "ends"), [("forgotten", True), ("unwatched", False)])
def test_a_worker_that_its_group_has_lost(
    stack: Stack, tmp_path: Path, worker: str, ends: bool
) -> None:
    """One that reads on while its heartbeats reach nobody ends; unwatched it goes on for ever."""
    settings, _ = stack
    processes = Processes(settings, tmp_path, (CARELESS, worker))
    processes.start("w1")
    asyncio.run(processes.ready("w1"))
    deadline = time.monotonic() + UNKNOWN_SECONDS + (PATIENCE_SECONDS if ends else 15.0)
    try:
        while processes.running["w1"].poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        ended = processes.running["w1"].poll()
    finally:
        if ended is None:
            processes.kill("w1")
        processes.running.clear()

    assert ended == (os.EX_TEMPFAIL if ends else None), processes.log("w1")
    assert ("its group has lost it" in processes.log("w1")) == ends


@pytest.mark.parametrize(("worker", "heals"), [("forgetful", True), ("resigned", False)])
def test_a_record_that_goes_astray(stack: Stack, tmp_path: Path, worker: str, heals: bool) -> None:
    """Lost between broker and handler, it is asked for again; else its partition stands still for good."""
    settings, keys = stack
    processes = Processes(settings, tmp_path, ("tests.faults.careless_worker", worker))

    async def play() -> Poured:
        until = asyncio.Event()
        processes.start("w1")
        await processes.ready("w1")
        pouring = asyncio.create_task(pour(settings, keys, 5, until))
        await asyncio.sleep(6.0)
        until.set()
        return await pouring

    async def others_caught_up() -> bool:
        most, *others = await behind(settings, keys)
        return (most if heals else others[0]) <= TAIL

    try:
        poured = asyncio.run(play())
        asyncio.run(until_true(others_caught_up))
        time.sleep(3.0)  # the time to ask again for what went astray, were it asked for
    finally:
        processes.stop()
    most, *others = asyncio.run(behind(settings, keys))

    assert poured.acked > 1_000
    assert ("is read again from offset" in processes.log("w1")) is heals
    assert (most <= TAIL) is heals, (most, others)
    assert others[0] <= TAIL  # the partitions beside it go on in any case
    if heals:
        report = asyncio.run(verified(settings, keys))
        assert report.exit_code == replay.SAME, replay.words(report)


def test_a_worker_taken_for_dead(stack: Stack, tmp_path: Path) -> None:
    """F14: a worker stopped past its session wakes, says nothing more and ends; state is exact."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> int:
        until = asyncio.Event()
        processes.start("w1")
        processes.start("w2")
        await processes.ready("w1", "w2")
        await asyncio.sleep(2.0)  # the later of the two makes them share anew
        pouring = asyncio.create_task(pour(settings, keys, 4, until))
        await asyncio.sleep(4.0)
        zombie = processes.running["w1"]
        os.kill(zombie.pid, signal.SIGSTOP)
        await asyncio.sleep(16.0)  # its session is 12 s
        os.kill(zombie.pid, signal.SIGCONT)
        ended = await asyncio.to_thread(zombie.wait, PATIENCE_SECONDS)
        processes.revive()
        await asyncio.sleep(5.0)
        until.set()
        await pouring
        return ended

    try:
        ended = asyncio.run(play())
        time.sleep(3.0)
    finally:
        processes.stop()
    report = asyncio.run(verified(settings, keys))

    assert ended == 75, "the zombie went on"
    assert report.exit_code == replay.SAME, replay.words(report)
    assert report.compared["step"] > 1000


def test_a_stop_outlives_its_worker(stack: Stack, tmp_path: Path) -> None:
    """F28: killed while scopes stand open, the next owner says the same with a higher term."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> tuple[dict[str, Command], dict[str, Command]]:
        until = asyncio.Event()
        processes.start("w1")
        await processes.ready("w1")
        pouring = asyncio.create_task(pour(settings, keys, 5, until))
        await asyncio.sleep(8.0)
        until.set()
        await pouring
        await until_true(lambda: caught_up(settings, keys))
        processes.kill("w1")
        before = await standing(settings)
        processes.start("w1")
        await processes.ready("w1")
        await asyncio.sleep(2.0)
        return before, await standing(settings)

    try:
        before, after = asyncio.run(play())
    finally:
        processes.stop()
    stopped = {key: command for key, command in before.items() if command.state == "open"}

    assert len(stopped) >= OPEN_MIN, "nothing stood open: the test proves nothing"
    for key, command in stopped.items():
        assert after[key].state in ("open", "half_open"), "nobody said that it may go on"
        assert after[key].term > command.term
        assert after[key].epoch >= command.epoch


@pytest.mark.parametrize(("worker", "lives"), [(WORKER, True), ((CARELESS, "stubborn"), False)])
def test_an_upgrade_goes_on(
    stack: Stack, tmp_path: Path, worker: tuple[str, ...], lives: bool
) -> None:
    """A checkpoint of an older build: no stop ends, no worker either. One that takes it as it is ends."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def work(seconds: float) -> None:
        until = asyncio.Event()
        pouring = asyncio.create_task(pour(settings, keys, 5, until))
        await asyncio.sleep(seconds)
        until.set()
        await pouring

    async def play() -> tuple[dict[str, Command], dict[str, Command], int | None]:
        processes.start("w1", CARELESS, "older")
        await processes.ready("w1")
        await work(8.0)
        await until_true(lambda: caught_up(settings, keys))
        processes.end("w1")
        before = await standing(settings)
        processes.start("w1", *worker)
        upgraded = processes.running["w1"]
        if lives:
            await processes.ready("w1")
            await work(4.0)
            await until_true(lambda: caught_up(settings, keys))
        else:
            await work(4.0)
            await asyncio.to_thread(upgraded.wait, PATIENCE_SECONDS)
        return before, await standing(settings), upgraded.poll()

    try:
        before, after, ended = asyncio.run(play())
    finally:
        processes.stop()
    stopped = {key: command for key, command in before.items() if command.state == "open"}

    assert len(stopped) >= OPEN_MIN, "nothing stood open: the test proves nothing"
    assert (ended is None) is lives, processes.log("w1")
    if lives:
        assert all(after[key].state in ("open", "half_open") for key in stopped)
        assert all(after[key].term > command.term for key, command in stopped.items())
