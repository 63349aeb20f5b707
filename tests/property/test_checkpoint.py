"""Checkpoints under any interleaving of saves, deaths, former owners, repeats and compaction.

Two things must not come together and don't: a write of a former owner and compaction before both writes
were read. The first needs a process that was stopped past its session and writes before its watchdog
ends it; the second waits for `min.compaction.lag.ms`.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.partition import Marker
from stream.worker.checkpoint import Checkpoint, Reader, Saved

KEY = b"k" * 32
TOPIC = "agent.events.v1"
KEYS = "abc"

Log = list[tuple[bytes, bytes | None]]
Inputs = list[tuple[str, bool]]  # which key each offset touches, and whether it ends the key


def truth(inputs: Inputs, offset: int) -> dict[str, bytes]:
    """State after the inputs up to an offset: what a checkpoint of that offset must give."""
    state: dict[str, bytes] = {}
    for n, (key, ends) in enumerate(inputs[: offset + 1]):
        if ends:
            state.pop(key, None)
        else:
            state[key] = state.get(key, b"") + bytes([n % 256])
    return state


@dataclass
class Owner:
    """A worker in the eyes of the log: where it is, and what changed since its last save."""

    writer: Checkpoint
    offset: int = -1
    dirty: dict[str, None] = field(default_factory=dict)

    def advance(self, inputs: Inputs, by: int) -> None:
        for _ in range(by):
            if self.offset + 1 < len(inputs):
                self.offset += 1
                self.dirty[inputs[self.offset][0]] = None

    def cells(self, inputs: Inputs) -> Log:
        state = truth(inputs, self.offset)
        changed = {key: state.get(key) for key in self.dirty}
        self.dirty = {}
        return self.writer.cells(self.offset, changed)

    def marker(self) -> tuple[bytes, bytes]:
        return self.writer.marker(Marker(self.offset, 0.0, 0, {}, b""))


class World:
    """The state topic, whoever owns the partition, and whoever believes to own it still."""

    def __init__(self, inputs: Inputs):
        self.inputs = inputs
        self.log: Log = []
        self.owner = Owner(Checkpoint(TOPIC, 0, KEY))
        self.former: list[Owner] = []
        self.marked = -1

    def saved(self) -> Saved | None:
        reader = Reader(KEY)
        for name, value in self.log:
            reader.take(name, value)
        return reader.saved(TOPIC, 0)

    def check(self) -> None:
        found = self.saved()
        if self.marked < 0:
            assert found is None
            return
        assert found is not None
        assert found.marker.offset == self.marked
        assert found.cells == truth(self.inputs, self.marked)

    def save(self, owner: Owner, records: int) -> None:
        """So many records of a checkpoint; the marker only behind all the others."""
        cells = owner.cells(self.inputs)
        self.log += cells[:records]
        if records > len(cells) and owner.offset >= 0:
            self.log.append(owner.marker())
            self.marked = max(self.marked, owner.offset)

    def succeed(self, alive: bool) -> None:
        """Another takes over from what is saved; the former one is dead, or thinks it is not."""
        if alive:
            self.former.append(self.owner)
        found = self.saved()
        slots = found.slots if found else None
        offset = found.marker.offset if found else -1
        self.owner = Owner(Checkpoint(TOPIC, 0, KEY, slots), offset)

    def compact(self, upto: int) -> None:
        """A cleaned beginning of the log: the last record of each key there, no tombstones."""
        head, tail = self.log[:upto], self.log[upto:]
        last = {name: n for n, (name, _) in enumerate(head)}
        self.log = [
            record
            for n, record in enumerate(head)
            if last[record[0]] == n and record[1] is not None
        ] + tail


inputs = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from([False, False, True])), min_size=1, max_size=40
)
everything = 99
actions = st.one_of(
    st.tuples(st.just("advance"), st.integers(1, 6)),
    st.tuples(st.just("advance and save"), st.integers(1, 3)),
    st.tuples(st.just("save"), st.just(everything)),
    st.tuples(st.just("die in a save"), st.integers(0, 8)),
    st.tuples(st.just("repeat"), st.integers(0, 30)),
)
compaction = st.tuples(st.just("compact"), st.integers(0, 60))
zombies = st.tuples(
    st.sampled_from(["stopped", "former advances", "former saves", "former dies in a save"]),
    st.integers(0, 8),
)


def play(world: World, script: list[tuple[str, int]]) -> None:
    for what, number in script:
        _act(world, what, number)
        world.check()


def _act(world: World, what: str, number: int) -> None:
    former = world.former[number % len(world.former)] if world.former else None
    if what.startswith("advance"):
        world.owner.advance(world.inputs, number)
    if what in ("save", "advance and save"):
        world.save(world.owner, everything)
    elif what == "die in a save":
        world.save(world.owner, number)
        world.succeed(alive=False)
    elif what == "stopped":
        world.succeed(alive=True)
    elif what == "repeat" and world.log:
        at = number % len(world.log)
        world.log.insert(at + 1, world.log[at])
    elif what == "compact":
        world.compact(number)
    elif what == "former advances" and former:
        former.advance(world.inputs, number)
    elif what == "former saves" and former:
        world.save(former, everything)
    elif what == "former dies in a save" and former:
        world.save(former, number)
        world.former.remove(former)


@settings(max_examples=200)
@given(inputs, st.lists(actions | compaction, max_size=40))
def test_deaths_repeats_and_compaction(inputs: Inputs, script: list[tuple[str, int]]) -> None:
    """What comes back is the state at the newest complete marker, whatever was torn or cleaned."""
    play(World(inputs), script)


@settings(max_examples=200)
@given(inputs, st.lists(actions | zombies, max_size=40))
@example(  # the former owner clears away a key that has come back meanwhile
    [("a", False), ("a", True), ("a", False)],
    [("advance and save", 1), ("advance and save", 1), ("stopped", 0), ("advance and save", 1),
     ("former saves", 0)],
)  # fmt: skip
def test_deaths_repeats_and_former_owners(inputs: Inputs, script: list[tuple[str, int]]) -> None:
    """Nor does it matter who wrote a cell, and how late."""
    play(World(inputs), script)


@given(inputs, st.lists(actions | compaction, max_size=40))
def test_the_log_stays_as_small_as_the_state(inputs: Inputs, script: list[tuple[str, int]]) -> None:
    """Compacted, each key costs two records at most, and one that ended before the last save none."""
    world = World(inputs)
    play(world, [step for step in script if step[0].startswith(("advance", "save"))])
    for _ in range(2):
        world.save(world.owner, everything)
    world.compact(len(world.log))
    state: dict[str, Any] = truth(inputs, world.owner.offset)

    assert len(world.log) <= 2 * len(state) + (world.owner.offset >= 0)
