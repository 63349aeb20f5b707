"""State of a partition, cut anywhere: a restored one says what one says that never stopped."""

import pickle
from dataclasses import dataclass, field
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from stream.partition import Marker, Partition, Snapshot

KEYS_MAX = 4

Op = tuple[str, str, float]  # what a record does, to which key, and how far on it sets the timer
Said = tuple[object, ...]


@dataclass(slots=True)
class Cell:
    deadline: float = inf
    last: int = 0
    n: int = 0
    told: list[int] = field(default_factory=list)


class Toy:
    """A core as small as it can be: it says whatever happens to its keys."""

    def __init__(self) -> None:
        self.partition: Partition[Cell] = Partition(
            lambda key: Cell(), pickle.dumps, pickle.loads, KEYS_MAX
        )
        self.evicted = 0

    def apply(self, offset: int, now: float, op: Op) -> list[Said]:
        partition, said = self.partition, list[Said]()
        partition.begin(offset, now)
        for key, state in partition.due():
            said.append((offset, "timer", key, state.deadline, state.n, list(state.told)))
            state.n += 1
            if state.n % 3 == 0:
                partition.drop(key)
            else:
                state.deadline = partition.now + 3.0 if state.n % 2 else inf
        said += self._done(offset, *op)
        return [*said, (offset, "keys", len(partition), round(partition.gap, 3))]

    def _done(self, offset: int, what: str, key: str, ahead: float) -> list[Said]:
        partition = self.partition
        if what == "open":
            before = partition.evicted
            state = partition.open(key)
            state.n += 1
            state.told.append(offset)
            state.deadline = partition.now + ahead
            partition.close(key, state)
            return [(offset, "opened", key, state.n, state.told[:], partition.evicted - before)]
        if what == "drop":
            partition.drop(key)
        if what == "all":
            found: list[Said] = []
            for name, state in partition.states():
                state.deadline += 1.0
                found.append((name, state.n, state.deadline))
            return [(offset, "all", *found)]
        if what == "derived":
            return [(offset, "new", partition.accepts(("t", 0, int(ahead * 2) % 40, 0, 0)))]
        return []


class Store:
    """Checkpoints as they accumulate: newest cell per key, newest marker."""

    def __init__(self) -> None:
        self.cells: dict[str, bytes] = {}
        self.marker: Marker | None = None

    def keep(self, snapshot: Snapshot) -> None:
        assert not snapshot.pending
        for key, cell in snapshot.cells.items():
            if cell is None:
                self.cells.pop(key, None)
            else:
                self.cells[key] = cell
        self.marker = snapshot.marker

    def restored(self) -> Toy:
        toy = Toy()
        if self.marker is not None:
            toy.partition.restore(self.marker, dict(self.cells))
        return toy


ahead = st.sampled_from([0.5, 1.0, 2.5, 8.0, inf])
ops = st.one_of(
    st.tuples(st.just("open"), st.sampled_from("abcdef"), ahead),
    st.tuples(st.sampled_from(["drop", "tick"]), st.sampled_from("abcdef"), st.just(0.0)),
    st.tuples(st.just("all"), st.just(""), st.just(0.0)),
    st.tuples(st.just("derived"), st.just(""), st.floats(0, 20)),
)
pauses = st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0, -1.0])
scripts = st.lists(st.tuples(ops, pauses), max_size=60)


def times(script: list[tuple[Op, float]]) -> list[float]:
    """Broker time of each record; it may step back, as brokers do."""
    now, found = 1000.0, []
    for _, pause in script:
        now += pause
        found.append(now)
    return found


def straight(script: list[tuple[Op, float]]) -> list[Said]:
    toy, said = Toy(), list[Said]()
    for offset, ((op, _), now) in enumerate(zip(script, times(script), strict=True)):
        said += toy.apply(offset, now, op)
    return said


def interrupted(script: list[tuple[Op, float]], saves: set[int], kills: set[int]) -> list[Said]:
    """The same with checkpoints that are encoded while records go on, and deaths between records."""
    toy, store, clock = Toy(), Store(), times(script)
    snapshot: Snapshot | None = None
    told: dict[int, list[Said]] = {}
    offset, deaths = 0, sorted(kills)
    while offset < len(script):
        if deaths and deaths[0] == offset:
            deaths.pop(0)
            toy, snapshot = store.restored(), None  # what was not complete is lost
            offset = toy.partition.offset + 1
            continue
        said = toy.apply(offset, clock[offset], script[offset][0])
        assert told.setdefault(offset, said) == said  # what is said again is the same
        if snapshot is None and offset in saves:
            snapshot = toy.partition.freeze()
        elif snapshot is not None and not toy.partition.encode_some(snapshot):
            store.keep(snapshot)
            snapshot = None
        offset += 1
    return [line for offset in sorted(told) for line in told[offset]]


cuts = st.sets(st.integers(0, 60), max_size=8)


@given(scripts, cuts, cuts)
def test_deaths_change_nothing(
    script: list[tuple[Op, float]], saves: set[int], kills: set[int]
) -> None:
    """Whatever is saved when, and wherever it dies: the same outputs, timers and evictions."""
    said = interrupted(script, saves, kills)

    assert said == straight(script)


@given(scripts, st.integers(0, 60))
def test_a_snapshot_in_slices_is_one_at_once(script: list[tuple[Op, float]], cut: int) -> None:
    """Cells and marker are those of the moment of the freeze, however much happens meanwhile."""
    slow, quick = Toy(), Toy()
    snapshot = reference = None
    for offset, ((op, _), now) in enumerate(zip(script, times(script), strict=True)):
        slow.apply(offset, now, op)
        quick.apply(offset, now, op)
        if offset == cut:
            snapshot, reference = slow.partition.freeze(), quick.partition.freeze()
            while quick.partition.encode_some(reference):
                pass
        elif snapshot is not None and offset % 3 == 0:
            slow.partition.encode_some(snapshot)
    if snapshot is None or reference is None:
        return
    while slow.partition.encode_some(snapshot):
        pass

    assert snapshot.cells == reference.cells
    assert snapshot.marker == reference.marker


@given(scripts)
def test_it_stays_within_its_bounds(script: list[tuple[Op, float]]) -> None:
    """Never more keys than allowed, nor timers than keys explain."""
    toy = Toy()
    for offset, ((op, _), now) in enumerate(zip(script, times(script), strict=True)):
        toy.apply(offset, now, op)

        assert len(toy.partition) <= KEYS_MAX
        assert len(toy.partition._timers) <= 64 + 4 * KEYS_MAX + 1
