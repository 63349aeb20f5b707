"""Whether a call of a run brought anything new: something reached, something learnt, a state changed. Pure.

    request: (tool, what it names) ──┐
    result: its text, its values ────┼──► news, or a stale call ──► detect counts those in a row
    state after the call ────────────┘

Hashes and sketches tell it all, so it works without any text. A planner that rewords one question, or goes
through its options again, gets nothing new however its arguments differ.
"""

from zlib import crc32

import msgspec

from stream.join.origins import VALUES_MAX, number_of
from tracefuse.events import Event

# 6 and 9 bytes each in a snapshot: 0.5 kB of one run at most. What is forgotten counts as new again.
SEEN_KEPT = 48
RESULTS_KEPT = 16
REACHED_KEPT = 8  # calls under way that name something new
# Of 64 bits: so few differ between texts that differ in a word of sixty, and unrelated ones differ in more
# than `UNLIKE` (`tracefuse.sketches.simhash`).
LIKE, UNLIKE = 3, 20
# A call is about what these name; an amount is a page or a limit as often, and names are any words.
_RESOURCES = frozenset({"email", "url", "host", "account", "id", "path"})
_MASK = 0xFFFF_FFFF


class Progress(msgspec.Struct, array_like=True):
    """What one agent has reached and learnt in one run, by 32 bits of each keyed hash.

    Notes
    -----
    About 3 µs a call. It fails where each round gets a result that says something else in other words: that
    looks like work, and only cost and time tell.
    """

    seen: dict[int, None] = {}
    results: list[int] = []
    reached: dict[int, None] = {}
    moved: bool = False  # the state changed since the last call
    since: int = 0  # calls since one that brought news

    def asked(self, event: Event) -> None:
        """A call begins: does it name, with this tool, what the run has not reached?"""
        tool = crc32(event.tool.encode())
        new = self._new(tool)
        for one in event.fingerprints[:VALUES_MAX]:
            if one.klass in _RESOURCES:
                new |= self._new(number_of(one.hash) & _MASK ^ tool)
        if new:
            self.reached[crc32(event.call_id.encode())] = None
            if len(self.reached) > REACHED_KEPT:
                del self.reached[next(iter(self.reached))]

    def changed(self, event: Event) -> None:
        """The agent tells the state of its world: a value that it had before is no step ahead."""
        self.moved |= self._new(number_of(event.result_hash) & _MASK)

    def answered(self, event: Event, told: bool) -> bool:
        """A call ends; whether it brought news. `told`: its result holds a value that is new to the trace."""
        call = crc32(event.call_id.encode())
        reached, moved = call in self.reached, self.moved
        self.reached.pop(call, None)
        self.moved = False
        learnt = event.status != "error" and (self._learnt(event, told) or reached)
        self.since = 0 if learnt or moved else self.since + 1
        return not self.since

    def _learnt(self, event: Event, told: bool) -> bool:
        """Whether the result is unlike what came before; what is somewhat like it must tell a new value."""
        sketch = event.sketches.get("simhash", "")
        text = number_of(sketch)
        if not text:  # numbers, or a process that tells hashes alone
            bare = not event.fingerprints and bool(event.result_hash)
            return told or (bare and self._new(crc32(event.result_hash.encode())))
        nearest = min(((text ^ known).bit_count() for known in self.results), default=64)
        if nearest > LIKE:
            self.results.append(text)
            del self.results[:-RESULTS_KEPT]
        return nearest >= UNLIKE or (told and nearest > LIKE)

    def _new(self, number: int) -> bool:
        if number in self.seen:
            return False
        self.seen[number] = None
        if len(self.seen) > SEEN_KEPT:
            del self.seen[next(iter(self.seen))]
        return True
