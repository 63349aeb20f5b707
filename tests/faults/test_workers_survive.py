"""Workers against a broker that goes away, a worker that is taken for dead, and kills while stopped.

F02 broker restart, F14 zombie, F28 a stop outlives its worker. The log is the judge: `replay.verify`.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from ingest.broker import Broker
from ingest.keys import Keys
from ingest.reading import reader
from ingest.settings import Settings
from ingest.topics import CONTROL, EVENTS, PARTITIONS
from stream import checkpoint, replay
from stream.watchdog import ENDING_SECONDS, UNKNOWN_SECONDS
from tests.workers import Poured, Processes, pour, verified
from tracefuse import control
from tracefuse.control import Command

pytestmark = pytest.mark.kafka

Stack = tuple[Settings, Keys]
# Two ticks a second, and a worker that hears nothing else saves every ten seconds.
TAIL = 60
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


async def until_true(processes: Processes, ask, seconds: float) -> None:  # type: ignore[no-untyped-def]
    """Wait for a condition, bringing back what ended, as a supervisor does."""
    deadline = time.monotonic() + seconds
    while not await ask():
        assert time.monotonic() < deadline, "not within " + str(seconds) + " s"
        processes.revive()
        await asyncio.sleep(0.5)


def test_a_broker_restart(stack: Stack, fresh_broker: Broker, tmp_path: Path) -> None:
    """F02: the broker ends and is killed, 5 s each; producer and worker go on alone, nothing is lost."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> Poured:
        until = asyncio.Event()
        processes.start("w1")
        await asyncio.sleep(4.0)
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

        async def caught_up() -> bool:
            return (await replay.verify(settings, keys)).compared["step"] > poured.acked / 4

        asyncio.run(until_true(processes, caught_up, 60.0))
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
        time.sleep(8.0)
        assert processes.running["w1"].poll() is None, processes.log("w1")
        processes.running["w1"].terminate()
        ended = processes.running["w1"].wait(ENDING_SECONDS + 8.0)
    finally:
        processes.stop()

    assert ended == os.EX_TEMPFAIL, processes.log("w1")


@pytest.mark.parametrize(("worker", "ends"), [("forgotten", True), ("unwatched", False)])
def test_a_worker_that_its_group_has_lost(
    stack: Stack, tmp_path: Path, worker: str, ends: bool
) -> None:
    """One that reads on while its heartbeats reach nobody ends; unwatched it goes on for ever."""
    settings, _ = stack
    processes = Processes(settings, tmp_path, (CARELESS, worker))
    processes.start("w1")
    deadline = time.monotonic() + UNKNOWN_SECONDS + 15.0
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


async def behind(settings: Settings, keys: Keys) -> list[int]:
    """Records of each events partition that the last checkpoint has not seen, the most first."""
    places = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
    readers = await checkpoint.read(settings.bootstrap, range(PARTITIONS), keys.state_key)
    async with reader(settings.bootstrap) as consumer:
        ends = await consumer.end_offsets(places)
    seen = [saved.marker.offset for n in readers if (saved := readers[n].saved(EVENTS, n))]
    assert len(seen) == PARTITIONS
    return sorted((ends[tp] - 1 - at for tp, at in zip(places, seen, strict=True)), reverse=True)


@pytest.mark.parametrize(("worker", "heals"), [("forgetful", True), ("resigned", False)])
def test_a_record_that_goes_astray(stack: Stack, tmp_path: Path, worker: str, heals: bool) -> None:
    """Lost between broker and handler, it is asked for again; else its partition stands still for good."""
    settings, keys = stack
    processes = Processes(settings, tmp_path, ("tests.faults.careless_worker", worker))

    async def play() -> Poured:
        until = asyncio.Event()
        processes.start("w1")
        await asyncio.sleep(5.0)
        pouring = asyncio.create_task(pour(settings, keys, 5, until))
        await asyncio.sleep(6.0)
        until.set()
        return await pouring

    try:
        poured = asyncio.run(play())
        time.sleep(5.0)
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
        await asyncio.sleep(6.0)
        pouring = asyncio.create_task(pour(settings, keys, 4, until))
        await asyncio.sleep(4.0)
        zombie = processes.running["w1"]
        os.kill(zombie.pid, signal.SIGSTOP)
        await asyncio.sleep(16.0)  # its session is 12 s
        os.kill(zombie.pid, signal.SIGCONT)
        await asyncio.sleep(2.0)
        ended = zombie.poll()
        processes.revive()
        await asyncio.sleep(5.0)
        until.set()
        await pouring
        return -1 if ended is None else ended

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
        await asyncio.sleep(4.0)
        pouring = asyncio.create_task(pour(settings, keys, 5, until))
        await asyncio.sleep(8.0)
        until.set()
        await pouring
        await asyncio.sleep(1.5)
        processes.kill("w1")
        before = await standing(settings)
        processes.start("w1")
        await asyncio.sleep(6.0)
        return before, await standing(settings)

    try:
        before, after = asyncio.run(play())
    finally:
        processes.stop()
    stopped = {key: command for key, command in before.items() if command.state == "open"}

    assert len(stopped) >= 3, "nothing stood open: the test proves nothing"
    for key, command in stopped.items():
        assert after[key].state in ("open", "half_open"), "nobody said that it may go on"
        assert after[key].term > command.term
        assert after[key].epoch >= command.epoch


@pytest.mark.parametrize(
    ("worker", "lives"), [(("stream.app",), True), ((CARELESS, "stubborn"), False)]
)
def test_an_upgrade_goes_on(
    stack: Stack, tmp_path: Path, worker: tuple[str, ...], lives: bool
) -> None:
    """A checkpoint of an older build: no stop ends, no worker either. One that takes it as it is ends."""
    settings, keys = stack
    processes = Processes(settings, tmp_path)

    async def play() -> tuple[dict[str, Command], dict[str, Command], int | None]:
        processes.start("w1", CARELESS, "older")
        await asyncio.sleep(5.0)
        for seconds in (8.0, 4.0):
            until = asyncio.Event()
            pouring = asyncio.create_task(pour(settings, keys, 5, until))
            await asyncio.sleep(seconds)
            until.set()
            await pouring
            if seconds == 8.0:
                await asyncio.sleep(1.5)
                processes.end("w1")
                before = await standing(settings)
                processes.start("w1", *worker)
                await asyncio.sleep(5.0)
        await asyncio.sleep(2.0)
        return before, await standing(settings), processes.running["w1"].poll()

    try:
        before, after, ended = asyncio.run(play())
    finally:
        processes.stop()
    stopped = {key: command for key, command in before.items() if command.state == "open"}

    assert len(stopped) >= 3, "nothing stood open: the test proves nothing"
    assert (ended is None) is lives, processes.log("w1")
    if lives:
        assert all(after[key].state in ("open", "half_open") for key in stopped)
        assert all(after[key].term > command.term for key, command in stopped.items())
