"""What a checkpoint promises: the exact state at its marker, or that of the one before."""

from math import inf

import pytest

from stream.partition import Marker
from stream.worker.checkpoint import CELL_BYTES_MAX, Checkpoint, Reader, Saved

KEY = b"k" * 32
SOURCE = "agent.inbox.v1"
Log = list[tuple[bytes, bytes | None]]


def marker(offset: int) -> Marker:
    return Marker(offset, float(offset), offset, {"t/0": (offset, 0, 0)}, b"own")


def saved(log: Log, key: bytes = KEY, number: int = 3) -> Saved | None:
    return reader(log, key).saved(SOURCE, number)


def reader(log: Log, key: bytes = KEY) -> Reader:
    found = Reader(key)
    for name, value in log:
        found.take(name, value)
    return found


def save(writer: Checkpoint, offset: int, **cells: bytes | None) -> Log:
    """All records of one complete checkpoint."""
    return [*writer.cells(offset, cells), writer.marker(marker(offset))]


@pytest.fixture
def writer() -> Checkpoint:
    return Checkpoint(SOURCE, 3, KEY)


def test_nothing_saved_is_nothing() -> None:
    """A partition that was never saved begins fresh."""
    assert saved([]) is None


def test_it_comes_back(writer: Checkpoint) -> None:
    """Marker, cells and slots; keys may hold any text, slashes too."""
    log = save(writer, 10, **{"acme/refunds": b"1", "!": b"2", "\N{SNOWMAN}/0/1": b""})
    found = saved(log)

    assert found is not None
    assert found.cells == {"acme/refunds": b"1", "!": b"2", "\N{SNOWMAN}/0/1": b""}
    assert found.marker == marker(10)
    assert found.marker.marks == {"t/0": (10, 0, 0)}


def test_without_its_marker_it_does_not_count(writer: Checkpoint) -> None:
    """However much of it was written: the one before is all there."""
    log = save(writer, 10, a=b"1", b=b"1")
    torn = writer.cells(20, {"a": b"2", "b": None, "c": b"2"})

    for n in range(len(torn) + 1):
        found = saved(log + torn[:n])
        assert found is not None
        assert (found.marker.offset, found.cells) == (10, {"a": b"1", "b": b"1"})


def test_one_slot_would_not_do(writer: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: in one slot a torn checkpoint, once compacted, has taken the older cell with it."""
    two = save(writer, 10, a=b"1") + writer.cells(20, {"a": b"2"})
    single = Checkpoint(SOURCE, 3, KEY)
    monkeypatch.setattr(
        Checkpoint, "_name", lambda self, key, slot: f"{self.prefix}0{key}".encode()
    )
    one = save(single, 10, a=b"1") + single.cells(20, {"a": b"2"})
    survived, lost = saved(compacted(two)), saved(compacted(one))

    assert survived is not None
    assert lost is not None
    assert (survived.cells, lost.cells) == ({"a": b"1"}, {})


def compacted(log: Log) -> Log:
    """The last record of each key, as Kafka leaves it; tombstones are taken away."""
    last = dict(log)
    return [
        (name, value) for n, (name, value) in enumerate(log)
        if value is not None and last[name] == value and name not in dict(log[n + 1 :])
    ]  # fmt: skip


def test_what_has_ended_is_cleared_away(writer: Checkpoint) -> None:
    """First it is called gone; when that is safe, both its records go, the older first."""
    log = save(writer, 10, a=b"1") + save(writer, 20, a=b"2")
    gone = save(writer, 30, a=None)
    later = save(writer, 40)
    found = saved(compacted(log + gone + later))

    assert [value is None for _, value in gone] == [False, False]
    assert [(name[-2:], value) for name, value in later[:-1]] == [(b"1a", None), (b"0a", None)]
    assert found is not None
    assert (found.cells, found.marker.offset) == ({}, 40)
    assert len(compacted(log + gone + later)) == 1


def test_a_crash_while_clearing_raises_no_dead(writer: Checkpoint) -> None:
    """Whichever of the two tombstones was written last."""
    log = save(writer, 10, a=b"1") + save(writer, 20, a=b"2") + save(writer, 30, a=None)
    clearing = writer.cells(40, {})

    for n in range(len(clearing) + 1):
        for state in (log + clearing[:n], compacted(log + clearing[:n])):
            found = saved(state)
            assert found is not None
            assert (found.cells, found.marker.offset) == ({}, 30)


def test_what_comes_back_after_its_end_is_new(writer: Checkpoint) -> None:
    """At once or later: the old records don't matter."""
    at_once = save(writer, 10, a=b"1") + save(writer, 20, a=None) + save(writer, 30, a=b"3")
    later = at_once + save(writer, 40, a=None) + save(writer, 50) + save(writer, 60, a=b"6")

    for log, expected in ((at_once, b"3"), (later, b"6")):
        for state in (log, compacted(log)):
            found = saved(state)
            assert found is not None
            assert found.cells == {"a": expected}


def test_a_successor_writes_beside_what_is_valid(writer: Checkpoint) -> None:
    """It knows which slot holds the good cell: its own torn save leaves that alone."""
    log = save(writer, 10, a=b"1") + writer.cells(20, {"a": b"torn"})
    found = saved(log)
    assert found is not None
    successor = Checkpoint(SOURCE, 3, KEY, found.slots)
    torn = compacted(log + successor.cells(15, {"a": b"1.5"}))
    after = saved(torn)

    assert after is not None
    assert after.cells == {"a": b"1"}


def test_a_late_tombstone_of_a_former_owner_takes_nothing(writer: Checkpoint) -> None:
    """It clears a key that ended; meanwhile the key has come back and was saved by another."""
    log = save(writer, 10, a=b"1") + save(writer, 20, a=None)
    found = saved(log)
    assert found is not None
    successor = Checkpoint(SOURCE, 3, KEY, found.slots)
    log += save(successor, 30, a=b"3") + writer.cells(25, {})
    after = saved(log)

    assert after is not None
    assert after.cells == {"a": b"3"}


def test_partitions_share_a_topic(writer: Checkpoint) -> None:
    """Two sources of one number lie in one partition of the state, and are told apart."""
    other = Checkpoint("agent.events.v1", 3, KEY)
    found = reader(save(writer, 10, a=b"1") + save(other, 99, a=b"2"))
    mine, theirs = found.saved(SOURCE, 3), found.saved("agent.events.v1", 3)

    assert mine is not None
    assert theirs is not None
    assert (mine.cells, theirs.cells) == ({"a": b"1"}, {"a": b"2"})
    assert found.saved(SOURCE, 4) is None


def test_forgeries_count_for_nothing(writer: Checkpoint) -> None:
    """Another key, another name, any damaged byte, names of no form: ignored and counted."""
    log = save(writer, 10, a=b"1")
    (cell, value), (mark, end) = log
    assert value is not None
    assert end is not None
    foreign = save(Checkpoint(SOURCE, 3, b"x" * 32), 99, a=b"2", b=b"2")
    odd: Log = [
        (cell.replace(b"0a", b"0b"), value), (cell.replace(b"/3/", b"/4/"), value),
        (cell, value[:-1] + b"\0"), (cell, value[:20]), (cell, b""), (mark, end[:-1]),
        (b"", value), (b"a", value), (b"a/b", value), (b"\xff/\xff/\xff", value), (b"a/b/", value),
    ]  # fmt: skip
    found = reader(log + foreign + odd)
    kept = found.saved(SOURCE, 3)

    assert found.forged == len(foreign) + len(odd)
    assert kept is not None
    assert (kept.marker.offset, kept.cells) == (10, {"a": b"1"})
    assert found.saved(SOURCE, 4) is None


def test_odd_tombstones_stop_nobody() -> None:
    """They carry no proof; whatever they name, nothing follows."""
    found = reader([(name, None) for name in (b"", b"a", b"a/b/", b"a/b/x", b"\xff", b"a/b/!")])

    assert found.saved("a", 0) is None


def test_the_highest_marker_counts(writer: Checkpoint) -> None:
    """A former owner that finishes an older save late changes nothing."""
    log = save(writer, 10, a=b"1")
    found = saved(log)
    assert found is not None
    successor = Checkpoint(SOURCE, 3, KEY, found.slots)
    log += save(successor, 30, a=b"3") + save(writer, 20, a=b"2")
    after = saved(log)

    assert after is not None
    assert (after.marker.offset, after.cells) == (30, {"a": b"3"})


def test_a_cell_is_true_up_to_its_offset(writer: Checkpoint) -> None:
    """A torn save's cells are used as soon as a marker has passed them: state follows from inputs."""
    log = save(writer, 10, a=b"1") + writer.cells(20, {"a": b"2"})
    found = saved(log)
    assert found is not None
    successor = Checkpoint(SOURCE, 3, KEY, found.slots)
    log += save(successor, 25, b=b"2")
    after = saved(log)

    assert after is not None
    assert after.cells == {"a": b"2", "b": b"2"}


def test_records_fit_kafka() -> None:
    """The promise of a cell's size leaves room for its name and proof."""
    assert CELL_BYTES_MAX + 4096 < 1_048_588
    assert inf > CELL_BYTES_MAX
