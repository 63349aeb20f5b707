"""What a checkpoint costs those who wait meanwhile, without a broker."""

import asyncio
import time
from pathlib import Path

import pytest

from ingest import keys as key_files
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.agent.agent_state import AgentState, new_agent
from stream.partition import Partition
from stream.worker import checkpoint, saving
from stream.worker.checkpoint import Checkpoint
from stream.worker.owned import Owned
from stream.worker.saving import Saver
from stream.worker.worker import Worker, cores

KEYS = 40
KEY_SECONDS = 0.003  # longer than a slice, so each key is one
SPREAD = 0.5


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """A worker with one partition of changed keys that are slow to encode, and no broker."""

    async def send(producer: object, number: int, records: list[object]) -> list[object]:
        return []

    def slow(agent: AgentState) -> bytes:
        time.sleep(KEY_SECONDS)
        return b""

    monkeypatch.setattr(checkpoint, "send", send)
    monkeypatch.setattr(saving, "SPREAD_SECONDS", SPREAD)
    keys = key_files.create(tmp_path)
    made = Worker(Settings(home=str(tmp_path)), keys, cores(keys))
    core = cores(keys)[INBOX](3)
    partition: Partition[AgentState] = Partition(new_agent, slow, lambda _: new_agent("a/b"), 1000)
    for number in range(KEYS):
        key = f"acme/agent-{number}"
        partition.begin(number, 1.0)
        partition.close(key, partition.open(key))
    core.partition = partition  # type: ignore[misc]
    made._owned[INBOX, 3] = Owned(core, 0, Checkpoint(INBOX, 3, keys.state_key))
    made._saver.producer = object()
    return made


async def _timed(saver: Saver, everything: bool) -> float:
    began = time.monotonic()
    await saver.save(everything)
    return time.monotonic() - began


def test_a_save_lets_others_in_between(worker: Worker) -> None:
    """It encodes in slices over `SPREAD_SECONDS`; control: what somebody waits for takes no pauses."""
    assert asyncio.run(_timed(worker._saver, everything=True)) < 0.6 * SPREAD
    for key, agent in worker._owned[INBOX, 3].core.partition.states():
        worker._owned[INBOX, 3].core.partition.close(key, agent)

    assert asyncio.run(_timed(worker._saver, everything=False)) > 0.9 * SPREAD


def test_who_waits_for_a_save_hurries_it(worker: Worker) -> None:
    """An owner that has to hand over does not stand still for the pauses of a save under way."""

    async def play() -> float:
        under_way = asyncio.create_task(worker._saver.save())
        await asyncio.sleep(0.02)
        began = time.monotonic()
        async with worker._saver.at_rest():
            waited = time.monotonic() - began
        await under_way
        return waited

    assert asyncio.run(play()) < 0.6 * SPREAD


def test_partitions_are_taken_while_a_save_is_under_way(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save needs the locks of batches, so whoever takes both waits for the save first."""

    async def beginnings(mine: object) -> dict[tuple[str, int], int]:
        return {}

    async def play() -> None:
        under_way = asyncio.create_task(worker._saver.save())
        await asyncio.sleep(0.02)
        await asyncio.wait_for(worker.assign([]), 10 * SPREAD)
        await under_way

    monkeypatch.setattr(worker, "_beginnings", beginnings)

    asyncio.run(play())
    assert not worker.owns


def test_saves_leave_time_between_however_long_they_take(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more to encode than fits a save must not follow a save: batches share the loop with them."""
    begun: list[float] = []
    ended: list[float] = []

    async def long() -> None:
        begun.append(time.monotonic())
        await asyncio.sleep(0.15)
        ended.append(time.monotonic())

    async def play() -> None:
        saves = asyncio.create_task(worker._saver.often())
        await asyncio.sleep(0.8)
        saves.cancel()

    monkeypatch.setattr(saving, "SAVE_SECONDS", 0.1)
    monkeypatch.setattr(saving, "SPREAD_SECONDS", 0.0)
    monkeypatch.setattr(worker._saver, "save", long)
    asyncio.run(play())

    rests = [after - before for before, after in zip(ended, begun[1:], strict=False)]
    assert len(rests) >= 2
    assert min(rests) >= 0.09
