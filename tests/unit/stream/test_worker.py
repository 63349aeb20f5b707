"""What the worker makes of owner records and of batches that are broken off, without a broker."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from ingest import codec
from ingest import keys as key_files
from ingest.records import Owner
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.outputs import Output
from stream.worker import checkpoint
from stream.worker.checkpoint import Checkpoint
from stream.worker.owned import Owned
from stream.worker.worker import Record, Worker, cores
from tracefuse import wire

TERM = 5


def worker_and_partition(folder: Path) -> tuple[Worker, Owned]:
    keys = key_files.create(folder)
    worker = Worker(Settings(home=str(folder)), keys, cores(keys))
    core = cores(keys)[INBOX](3)
    return worker, Owned(core, TERM, Checkpoint(INBOX, 3, keys.state_key))


def owner_record(worker: Worker, name: str, offset: int, mac: bytes | None = None) -> Record:
    value = codec.encode(Owner(worker=name, build="b", settings=""))
    proof = worker._owner_mac(INBOX, 3, value) if mac is None else mac
    return Record(3, offset, 1.0, [(wire.KIND, codec.OWNER), (wire.MAC, proof)], value)


def test_a_later_owner_silences_the_former_one(tmp_path: Path) -> None:
    """A proven record of another worker behind our own fences the partition."""
    worker, owned = worker_and_partition(tmp_path)
    worker._watch_owner(owned, owner_record(worker, "another", TERM + 1))

    assert owned.fenced


def test_a_forged_owner_silences_nobody(tmp_path: Path) -> None:
    """Who may write events into a topic can't take a partition with them."""
    worker, owned = worker_and_partition(tmp_path)
    worker._watch_owner(owned, owner_record(worker, "another", TERM + 1, mac=b"\0" * 32))
    worker._watch_owner(owned, owner_record(worker, "another", TERM + 1, mac=b""))

    assert not owned.fenced


def test_an_earlier_owner_is_history(tmp_path: Path) -> None:
    """Records before our term, and our own, change nothing."""
    worker, owned = worker_and_partition(tmp_path)
    worker._watch_owner(owned, owner_record(worker, "another", TERM - 1))
    worker._watch_owner(owned, owner_record(worker, worker.name, TERM + 1))

    assert not owned.fenced


class _Slow:
    """A publisher that can hand nothing to its producer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def publish(self, outputs: Iterable[Output], term: int, issued_at: int) -> None:
        self.asked.set()
        await asyncio.Event().wait()


class _Unheard:
    """A publisher whose broker answers later."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()

    async def publish(
        self, outputs: Iterable[Output], term: int, issued_at: int
    ) -> asyncio.Future[list[object]]:
        return self.answer


class _Idle:
    """A producer that has nothing to do."""

    async def stop(self) -> None: ...


@pytest.mark.parametrize("saves_meanwhile", [False, True])
def test_what_was_applied_and_not_said_is_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves_meanwhile: bool
) -> None:
    """A batch that is cancelled before its outputs are out: the next owner must apply it again.

    Control: one whose record has nothing to say is saved at the end.
    """

    saved = 0

    async def send(producer: object, number: int, records: list[object]) -> list[object]:
        nonlocal saved
        saved += len(records)
        return []

    async def play(value: bytes) -> int:
        worker, owned = worker_and_partition(tmp_path)
        slow, idle = _Slow(), _Idle()
        worker._publisher, worker._saver.producer, worker._producer = slow, idle, idle  # type: ignore[assignment]
        worker._owned[INBOX, 3] = owned
        record = Record(3, 0, 1.0, [(wire.KIND, codec.INBOX)], value)
        batch = asyncio.create_task(worker.batch(INBOX, [record]))
        if value:
            await slow.asked.wait()
            saving = (
                asyncio.create_task(worker._saver.save(everything=True))
                if saves_meanwhile
                else None
            )
            await asyncio.sleep(0)
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
            if saving is not None:
                await saving
        else:
            await batch
        await worker.stop()
        return saved

    monkeypatch.setattr(checkpoint, "send", send)

    assert asyncio.run(play(b'{"type":')) == 0  # a bad line has a dead letter to say
    assert asyncio.run(play(b"")) > 0


@pytest.mark.parametrize("refused", [False, True])
def test_a_checkpoint_waits_for_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """Outputs that are on their way may be lost with us: until the broker has them there is no marker."""
    saved: list[object] = []

    async def send(producer: object, number: int, records: list[object]) -> list[object]:
        saved.extend(records)
        return []

    async def play() -> None:
        worker, owned = worker_and_partition(tmp_path)
        unheard, idle = _Unheard(), _Idle()
        worker._publisher, worker._saver.producer, worker._producer = unheard, idle, idle  # type: ignore[assignment]
        worker._owned[INBOX, 3] = owned
        dead = Record(3, 0, 1.0, [(wire.KIND, codec.INBOX)], b'{"type":')  # it has a letter to say
        await worker.batch(INBOX, [dead])
        saving = asyncio.create_task(worker._saver.save(everything=True))
        await asyncio.sleep(0.02)
        assert not saving.done()
        assert not saved
        if not refused:
            unheard.answer.set_result([])
            await saving
            assert saved
            return
        unheard.answer.set_exception(OSError("refused"))
        with pytest.raises(OSError, match="refused"):
            await saving
        with pytest.raises(OSError, match="refused"):
            await worker.batch(INBOX, [])
        assert not worker.owns
        assert not saved

    monkeypatch.setattr(checkpoint, "send", send)

    asyncio.run(play())
