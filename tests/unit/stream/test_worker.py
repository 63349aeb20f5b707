"""What the worker makes of owner records: who may tell it that a partition is another's now."""

from pathlib import Path

from ingest import codec
from ingest import keys as key_files
from ingest.records import Owner
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.worker.checkpoint import Checkpoint
from stream.worker.worker import Owned, Record, Worker, cores
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
