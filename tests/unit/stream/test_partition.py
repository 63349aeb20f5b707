"""What the state of one partition promises."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import pytest

from ingest.records import Src
from stream.partition import Partition, Snapshot


@dataclass(slots=True)
class Cell:
    """The smallest state of a key."""

    deadline: float = inf
    last: int = 0
    n: int = 0


def made(keys_max: int = 100) -> Partition[Cell]:
    return Partition(lambda key: Cell(), pickle.dumps, pickle.loads, keys_max)


@dataclass
class Log:
    """Applies records one after the other, each at the next offset."""

    partition: Partition[Cell]
    offset: int = -1

    def record(self, now: float) -> list[str]:
        """A record that concerns no key; returns whose timers were due."""
        self.offset += 1
        self.partition.begin(self.offset, now)
        fired = []
        for key, state in self.partition.due():
            state.deadline = inf
            fired.append(key)
        return fired

    def touch(self, key: str, now: float, deadline: float | None = None) -> Cell:
        """A record that concerns a key."""
        self.record(now)
        state = self.partition.open(key)
        state.n += 1
        state.deadline = state.deadline if deadline is None else deadline
        self.partition.close(key, state)
        return state


@pytest.fixture
def log() -> Log:
    return Log(made())


def keys(partition: Partition[Cell]) -> list[str]:
    return [key for key, _ in partition.states()]


def saved(partition: Partition[Cell]) -> Snapshot:
    """A snapshot encoded at once."""
    snapshot = partition.freeze()
    while partition.encode_some(snapshot):
        pass
    return snapshot


def restored(*snapshots: Snapshot, keys_max: int = 100) -> Partition[Cell]:
    """What comes back from snapshots one after the other."""
    cells: dict[str, bytes | None] = {}
    for snapshot in snapshots:
        cells |= snapshot.cells
    again = made(keys_max)
    live = {key: cell for key, cell in cells.items() if cell is not None}
    again.restore(snapshots[-1].marker, live)
    return again


def test_time_never_falls(log: Log) -> None:
    """A record with an earlier time than the last one comes at the last one's time."""
    log.record(100.0)
    log.record(40.0)

    assert log.partition.now == 100.0
    assert log.partition.gap == 0.0


def test_an_offset_comes_once(log: Log) -> None:
    """The worker skips what was applied; a repeated offset is its mistake and stops it."""
    log.record(1.0)

    with pytest.raises(AssertionError, match="offsets rise"):
        log.partition.begin(0, 2.0)


def test_a_jump_in_time_is_a_gap(log: Log) -> None:
    """What ticks of 0.5 s explain is no gap, 1.5 s neither; more is, and only once."""
    gaps = []
    for now in (100.0, 100.5, 102.0, 103.6, 104.0):
        log.record(now)
        gaps.append(round(log.partition.gap, 1))

    assert gaps == [0.0, 0.0, 0.0, 1.6, 0.0]


def test_timers_fire_by_deadline_then_key(log: Log) -> None:
    """The order in which keys were seen means nothing."""
    for key, deadline in (("b", 12.0), ("c", 11.0), ("a", 12.0), ("d", 13.0)):
        log.touch(key, 1.0, deadline)

    assert log.record(10.9) == []
    assert log.record(12.0) == ["c", "a", "b"]
    assert log.record(99.0) == ["d"]
    assert log.record(999.0) == []


def test_a_timer_that_was_moved_fires_once_and_late(log: Log) -> None:
    """Only the newest deadline of a key counts, also one that was moved there and back."""
    for deadline in (10.0, 20.0, 10.0, 20.0):
        log.touch("a", 1.0, deadline)
    log.touch("b", 1.0, 10.0)
    log.touch("b", 1.0, inf)

    assert log.record(15.0) == []
    assert log.record(20.0) == ["a"]


def test_a_key_may_end_by_its_timer(log: Log) -> None:
    """Whoever is called may drop the key; it fires no more, and a new one of its name is new."""
    log.touch("a", 1.0, 10.0)
    log.offset += 1
    log.partition.begin(log.offset, 10.0)
    for key, _ in log.partition.due():
        log.partition.drop(key)

    assert log.partition.get("a") is None
    assert log.touch("a", 11.0).n == 1
    assert log.record(99.0) == []


def test_a_timer_must_be_set_anew_or_not_at_all(log: Log) -> None:
    """A deadline that stays in the past would fire for ever: that is the caller's mistake."""
    log.touch("a", 1.0, 10.0)
    log.partition.begin(5, 10.0)

    with pytest.raises(AssertionError, match="a timer that passed"):
        list(log.partition.due())


def test_outdated_timers_do_not_pile_up(log: Log) -> None:
    """A deadline that moves with every record costs no memory."""
    for i in range(1000):
        log.touch("a", 1.0, 10.0 + i)

    assert len(log.partition._timers) < 100
    assert log.record(1009.0) == ["a"]


def test_the_key_applied_longest_ago_goes() -> None:
    """A limit holds always; what was applied again stays, what was only looked at does not."""
    log = Log(made(keys_max=2))
    for key in ("a", "b", "a"):
        log.touch(key, 1.0)
    log.partition.get("b")
    log.touch("c", 1.0)

    assert keys(log.partition) == ["a", "c"]
    assert (len(log.partition), log.partition.evicted) == (2, 1)


def test_an_evicted_key_has_no_timer(log: Log) -> None:
    """Who was evicted is not called any more."""
    log = Log(made(keys_max=1))
    log.touch("a", 1.0, 10.0)
    log.touch("b", 1.0, 11.0)

    assert log.record(99.0) == ["b"]


def test_a_snapshot_is_its_moment(log: Log) -> None:
    """What changes, appears, ends or fires before it is encoded is not in it."""
    log.partition.own = b"then"
    for key, deadline in (("a", inf), ("b", inf), ("c", 5.0), ("d", inf)):
        log.touch(key, 1.0, deadline)
    snapshot = log.partition.freeze()
    log.partition.own = b"now"
    log.partition.encode_some(snapshot)
    for key in "aaae":
        log.touch(key, 2.0)
    log.partition.drop("b")
    log.record(5.0)  # the timer of c
    while log.partition.encode_some(snapshot):
        pass
    again = restored(snapshot)

    assert {key: state.n for key, state in again.states()} == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert [key for key, state in again.states() if state.deadline == 5.0] == ["c"]
    assert (again.offset, again.now, again.own) == (3, 1.0, b"then")


def test_snapshots_hold_what_changed_since_the_last() -> None:
    """Of a hundred keys, one that changed costs one cell; one that ended is told as ended."""
    log = Log(made())
    for i in range(100):
        log.touch(f"k{i}", 1.0)
    first = saved(log.partition)
    log.touch("k7", 2.0)
    log.partition.drop("k8")
    second = saved(log.partition)

    assert (len(first.cells), set(second.cells)) == (100, {"k7", "k8"})
    assert second.cells["k8"] is None
    assert len(restored(first, second)) == 99


def test_only_one_snapshot_at_a_time(log: Log) -> None:
    """The worker finishes one before it begins another."""
    log.touch("a", 1.0)
    log.partition.freeze()

    with pytest.raises(AssertionError, match="one snapshot"):
        log.partition.freeze()


def test_quiet_means_that_only_time_has_passed(log: Log) -> None:
    """A tick makes no checkpoint necessary; a key, a timer, an end or a derived record does."""
    quiet = []

    def look() -> None:
        quiet.append(log.partition.quiet)
        saved(log.partition)

    look()
    log.touch("a", 1.0, 5.0)
    look()
    log.record(2.0)
    look()
    log.record(5.0)
    look()
    log.partition.drop("a")
    look()
    log.partition.accepts(("t", 0, 1, 0, 0))
    look()

    assert quiet == [True, False, True, False, False, False]


def test_a_restored_partition_evicts_alike() -> None:
    """The order of last use comes back, not that of the cells; and it goes on from there."""
    log = Log(made(keys_max=3))
    for key in ("a", "b", "c", "a"):
        log.touch(key, 1.0)
    again = restored(saved(log.partition), keys_max=3)
    other = Log(again, log.offset)
    for each in (log, other):
        each.touch("d", 2.0)
        each.touch("b", 2.0)

    assert keys(again) == keys(log.partition) == ["a", "d", "b"]


def test_a_derived_record_counts_once() -> None:
    """What is not above the highest position of its source is a repeat; sources stand apart."""
    partition = made()

    def positions() -> Iterator[Src]:
        yield ("t", 0, 5, 0, 1)
        yield ("t", 0, 5, 0, 1)
        yield ("t", 0, 5, 0, 0)
        yield ("t", 0, 4, 9, 9)
        yield ("t", 0, 5, 1, 0)
        yield ("t", 1, 0, 0, 0)
        yield ("u", 0, 0, -1, 0)
        yield ("t", 0, 6, -1, 0)

    assert [partition.accepts(src) for src in positions()] == [
        True, False, False, False, True, True, True, True,
    ]  # fmt: skip


def test_what_was_accepted_is_known_after_a_restart() -> None:
    """Marks are part of the checkpoint, and belong to its moment."""
    partition = made()
    partition.accepts(("t", 0, 5, 0, 0))
    snapshot = partition.freeze()
    partition.accepts(("t", 0, 6, 0, 0))
    again = restored(snapshot)

    assert not again.accepts(("t", 0, 5, 0, 0))
    assert again.accepts(("t", 0, 6, 0, 0))


def test_without_the_mark_a_repeat_would_count_again() -> None:
    """Control: a partition whose marks were lost takes the repeat for news."""
    partition = made()
    partition.accepts(("t", 0, 5, 0, 0))
    snapshot = saved(partition)
    snapshot.marker.marks.clear()

    assert restored(snapshot).accepts(("t", 0, 5, 0, 0))


def test_without_copying_a_snapshot_would_show_the_future(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a key that changes before it is encoded must be encoded first."""
    log.touch("a", 1.0)
    snapshot = log.partition.freeze()
    monkeypatch.setattr(Partition, "_before", lambda self, key: None)
    log.touch("a", 2.0)
    log.partition.encode_some(snapshot)

    assert next(restored(snapshot).states())[1].n == 2
