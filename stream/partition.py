"""State of one partition, as the law wants it: record time, timers, bounded keys, exact snapshots. Pure.

A record changes one key's state or the partition's own. Time never falls. Due timers fire before the
record, ordered by (deadline, key). The key applied longest ago is evicted first. A snapshot is the state
between two records, though it is encoded later: a key that is about to change is encoded first.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf
from struct import Struct
from typing import Generic, Protocol, TypeVar

import msgspec

from ingest.records import Src


class Keyed(Protocol):
    """What a key's state must tell."""

    deadline: float  # record time (s) of its next timer, infinity for none
    last: int  # turn in which a record was last applied to it


S = TypeVar("S", bound=Keyed)

# Before each encoded state: turn and deadline, so that order and timers need no decoding.
_HEAD = Struct(">Qd")

# A gap in record time that no 500 ms tick explains: the pipeline stood still, not the agents.
GAP_SECONDS = 1.5


class Marker(msgspec.Struct, array_like=True):
    """The partition's own state, written last: everything up to `offset` is saved."""

    offset: int
    now: float
    turn: int
    marks: dict[str, tuple[int, int, int]]
    own: bytes


class Snapshot:
    """State at one offset, encoded little by little. `cells` is complete once `pending` is empty."""

    def __init__(self, marker: Marker, pending: dict[str, None]):
        self.marker = marker
        self.pending = pending
        self.cells: dict[str, bytes | None] = {}


class Partition(Generic[S]):
    """Keys, timers and marks of one partition.

    Parameters
    ----------
    fresh
        Makes the state of a new key.
    dump, load
        State to bytes and back, exactly.
    keys_max
        Keys held at most, >= 1; beyond it the one applied longest ago goes.
    gone
        Hears of each that goes so.
    """

    def __init__(
        self,
        fresh: Callable[[str], S],
        dump: Callable[[S], bytes],
        load: Callable[[bytes], S],
        keys_max: int,
        gone: Callable[[S], None] | None = None,
    ):
        self._gone = gone
        self._fresh, self._dump, self._load, self.keys_max = fresh, dump, load, keys_max
        self.offset = -1
        self.now = 0.0
        self.gap = 0.0  # seconds by which record time jumped at this record, 0 without a jump
        self.own = b""
        self.evicted = 0
        self._states: dict[str, S | bytes] = {}  # the one applied longest ago first
        self._marks: dict[str, tuple[int, int, int]] = {}
        self._turn = 0
        self._timers: list[tuple[float, str]] = []
        self._armed: dict[str, float] = {}  # the deadline that each key's newest timer stands for
        self._dirty: dict[str, None] = {}
        self._quiet = True  # nothing but time passed since the last snapshot
        self._snapshot: Snapshot | None = None

    def __len__(self) -> int:
        return len(self._states)

    def begin(self, offset: int, timestamp: float) -> None:
        """The next record: its offset and broker time in seconds."""
        assert offset > self.offset, "offsets rise"
        jumped = timestamp - self.now
        self.gap = jumped if self.now and jumped > GAP_SECONDS else 0.0
        self.now = max(self.now, timestamp)
        self.offset = offset

    def due(self) -> Iterator[tuple[str, S]]:
        """Keys whose timer is due, by (deadline, key); the caller lets each one's timer pass."""
        while self._timers and self._timers[0][0] <= self.now:
            deadline, key = heappop(self._timers)
            state = self.get(key) if self._armed.get(key) == deadline else None
            if state is not None and state.deadline == deadline:
                self._before(key)
                self._armed.pop(key, None)
                yield key, state
                if self._states.get(key) is not state:
                    continue  # its time was its end
                assert state.deadline > self.now, "a timer that passed is set anew or not at all"
                self._after(key, state)

    def get(self, key: str) -> S | None:
        """A key's state for reading only."""
        state = self._states.get(key)
        return self._warm(key, state) if isinstance(state, bytes) else state

    def _warm(self, key: str, cell: bytes) -> S:
        """Decode a restored key when it is first needed; its place stays."""
        state = self._states[key] = self._load(cell[_HEAD.size :])
        return state

    def open(self, key: str) -> S:
        """A key's state about to change by this record; a new key begins fresh."""
        self._before(key)
        state = self.get(key)
        self._states.pop(key, None)
        if state is None:
            state = self._fresh(key)
            self._evict()
        self._turn += 1
        state.last = self._turn
        self._states[key] = state
        return state

    def close(self, key: str, state: S) -> None:
        """The record is applied to the key; its timer is set anew."""
        self._after(key, state)

    def drop(self, key: str) -> None:
        """The key is no more."""
        self._before(key)
        self._states.pop(key, None)
        self._armed.pop(key, None)

    def states(self) -> Iterator[tuple[str, S]]:
        """All keys from the one applied longest ago on, for a change that concerns every key."""
        for key in list(self._states):
            state = self.get(key)
            assert state is not None
            self._before(key)
            yield key, state
            self._after(key, state)

    def accepts(self, src: Src) -> bool:
        """Whether a derived record is new; the highest source position seen is kept."""
        source = f"{src[0]}/{src[1]}"
        position = (src[2], src[3], src[4])
        if position <= self._marks.get(source, (-1, -1, -1)):
            return False
        self._marks[source] = position
        self._quiet = False
        return True

    def _evict(self) -> None:
        while len(self._states) >= self.keys_max:
            oldest = next(iter(self._states))
            state = self.get(oldest) if self._gone else None
            self.drop(oldest)
            self.evicted += 1
            if self._gone and state is not None:
                self._gone(state)

    def _before(self, key: str) -> None:
        if self._snapshot is not None and key in self._snapshot.pending:
            self._encode(self._snapshot, key)
        self._dirty[key] = None
        self._quiet = False

    def _after(self, key: str, state: S) -> None:
        if state.deadline == inf:
            self._armed.pop(key, None)
        elif self._armed.get(key) != state.deadline:
            self._armed[key] = state.deadline
            heappush(self._timers, (state.deadline, key))
            if len(self._timers) > 64 + 4 * len(self._states):
                self._arm()

    def _arm(self) -> None:
        """Timers from the states alone: outdated ones go."""
        due = ((key, _head(state)[1]) for key, state in self._states.items())
        self._armed = {key: deadline for key, deadline in due if deadline != inf}
        self._timers = sorted((deadline, key) for key, deadline in self._armed.items())

    # -- snapshots -------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether only time passed since the last snapshot."""
        return self._quiet

    def freeze(self) -> Snapshot:
        """Begin a snapshot of this very moment; at most one at a time."""
        assert self._snapshot is None or not self._snapshot.pending, "one snapshot at a time"
        marker = Marker(self.offset, self.now, self._turn, dict(self._marks), self.own)
        self._snapshot = Snapshot(marker, self._dirty)
        self._dirty, self._quiet = {}, True
        return self._snapshot

    def encode_some(self, snapshot: Snapshot) -> bool:
        """Encode one more key; False when all are encoded."""
        if not snapshot.pending:
            return False
        self._encode(snapshot, next(iter(snapshot.pending)))
        return True

    def _encode(self, snapshot: Snapshot, key: str) -> None:
        del snapshot.pending[key]
        state = self.get(key)
        if state is None:
            snapshot.cells[key] = None
        else:
            snapshot.cells[key] = _HEAD.pack(state.last, state.deadline) + self._dump(state)

    def restore(self, marker: Marker, cells: dict[str, bytes]) -> None:
        """Be again what `marker` and the saved keys say; a key is decoded when it is first needed."""
        self.offset, self.now, self.own = marker.offset, marker.now, marker.own
        self._turn, self._marks = marker.turn, dict(marker.marks)
        self._states = dict(sorted(cells.items(), key=lambda item: _head(item[1])[0]))
        self._arm()


def _head(state: Keyed | bytes) -> tuple[int, float]:
    """Turn and deadline of a state, decoded or not."""
    if isinstance(state, bytes):
        turn, deadline = _HEAD.unpack_from(state)
        return turn, deadline
    return state.last, state.deadline
