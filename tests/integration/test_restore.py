"""A worker that comes back has its state in seconds, however many agents and traces it holds."""

import asyncio
import os
import pickle
import random
import time

import pytest

from ingest import keys as key_files
from ingest.keys import Keys
from ingest.provision import provision
from ingest.settings import Settings
from ingest.topics import EVENTS, INBOX, PARTITIONS
from stream.agent.agent_cells import BUILD_BYTES
from stream.agent.unpickle import loads
from stream.worker.worker import Worker, cores
from tests import load
from tracefuse import wire

pytestmark = pytest.mark.kafka

AGENTS, TRACES = 10_000, 20_000
ALL = [(topic, number) for topic in (EVENTS, INBOX) for number in range(PARTITIONS)]
RESTORE_SECONDS_MAX = 5.0


class Filled:
    """A worker whose cores are fed by hand, since it is the restore that is measured."""

    def __init__(self, settings: Settings, keys: Keys):
        self.worker = Worker(settings, keys, cores(keys))
        self.now_us = 1_795_000_000_000_000

    def feed(self, agent: load.Agent) -> None:
        """One step of an agent whose run stays open, through join and detect."""
        lines = [event for event in agent.step(self.now_us) if event.name != "run.end"]
        self.now_us += 100
        value, number, headers = load.envelope(agent, lines)
        boxes: dict[int, list[bytes]] = {}
        for line in self._apply(EVENTS, number, headers, value):
            boxes.setdefault(wire.partition_of(line.key), []).append(line.value)
        for box, found in boxes.items():
            self._apply(INBOX, box, [(wire.KIND, b"inbox")], b"\n".join(found))

    def _apply(self, topic: str, number: int, headers: wire.Headers, value: bytes) -> list:  # type: ignore[type-arg]
        core = self.worker._owned[topic, number].core
        offset = core.partition.offset + 1
        return list(core.apply(offset, self.now_us / 1e6, headers, value))

    def count(self, topic: str) -> int:
        return sum(len(o.core.partition) for tp, o in self.worker._owned.items() if tp[0] == topic)


async def _still(worker: Worker) -> None:
    """Own the partitions without ticking: nothing but the hand-fed records moves the state."""
    await worker.start()
    for task in worker._tasks:
        task.cancel()


async def _restore(settings: Settings, keys: Keys) -> tuple[float, Filled, Filled]:
    before, after = Filled(settings, keys), Filled(settings, keys)
    await _still(before.worker)
    await before.worker.assign(ALL)
    rng = random.Random(1)
    fleet = load.agents(keys, AGENTS, 1)
    for _ in range(TRACES // AGENTS):
        for agent in fleet:
            agent.fault, agent.left = "", 0
            for _ in range(rng.randint(1, 4)):
                before.feed(agent)
                agent.left = max(agent.left, 1)
    await before.worker._saver.save(everything=True)
    await _still(after.worker)
    started = time.monotonic()
    await after.worker.assign(ALL)
    return time.monotonic() - started, before, after


def test_ten_thousand_agents_and_twenty_thousand_traces(own_broker, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """10,000 agents and 20,000 open traces are back within 5 s, each key as it was."""
    settings = Settings(home=str(tmp_path), bootstrap=own_broker.bootstrap)
    asyncio.run(provision(settings))
    keys = key_files.create(settings.keys_folder)

    async def both() -> tuple[float, bool]:
        seconds, before, after = await _restore(settings, keys)
        same = all(_cells(after.worker, tp) == _cells(before.worker, tp) for tp in ALL[::5])
        for filled in (before, after):
            filled.worker._owned.clear()
            await filled.worker.stop()
        return seconds, same

    seconds, same = asyncio.run(both())
    print(f"restored in {seconds:.2f} s at load {os.getloadavg()[0]:.1f}")

    assert same
    assert seconds <= RESTORE_SECONDS_MAX


# Turn and deadline, then the build that wrote it.
HEAD = 16 + BUILD_BYTES


def _cells(worker: Worker, tp: tuple[str, int]) -> dict[str, bytes | None]:
    """Every key of a partition, encoded as a checkpoint would hold it."""
    partition = worker._owned[tp].core.partition
    for key, state in list(partition.states()):
        assert state is not None, key
    snapshot = partition.freeze()
    while partition.encode_some(snapshot):
        pass
    if tp[0] == EVENTS:
        return snapshot.cells
    # Equal objects pickle alike only once both came out of a pickle: before, strings may be shared.
    return {key: _normal(cell) for key, cell in snapshot.cells.items()}


def _normal(cell: bytes | None) -> bytes | None:
    return cell and cell[:HEAD] + pickle.dumps(loads(pickle.dumps(loads(cell[HEAD:]))))
