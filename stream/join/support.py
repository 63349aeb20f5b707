"""Whether what an answer names was met anywhere in its run: in an order, a result, a state, a call. Pure."""

import msgspec

from ingest.records import Answered, Value
from stream.join.origins import NAMED_KEPT, PATH_MAX, VALUES_MAX, Origins, number_of
from tracefuse.events import Event

MET_KEPT = 96  # values of the agent's own calls and states, 5 bytes each in a snapshot
TOLD_MAX = 4  # values that an answer's fact names
_PARTS = frozenset({"domain", "host"})  # of a value that stands for itself
# What the agent's model says: it supports nothing.
SPOKEN = frozenset({"output", "llm.request", "llm.response", "claim"})
_MASK = 0xFFFF_FFFF


class Support(msgspec.Struct, array_like=True):
    """What a trace has met besides what `Origins` knows, by 32 bits of each keyed hash.

    Notes
    -----
    0.2 µs a value. Where more was met than is known, nothing is said of an answer at all.
    """

    met: dict[int, None] = {}
    more: bool = False

    def know(self, event: Event) -> None:
        """Values that the agent acts on or tells of its world: it may name them again."""
        for one in event.fingerprints[:VALUES_MAX]:
            if len(self.met) == MET_KEPT:
                self.more = True
                break
            self.met[number_of(one.hash) & _MASK] = None
        self.more |= event.fingerprints_cut

    def answered(self, event: Event, origins: Origins, called: bool) -> Answered | None:
        """What an answer names that was met nowhere; None where that can't be known."""
        if self.more or event.fingerprints_cut or len(origins.named) == NAMED_KEPT:
            return None
        lacking = [
            one for one, origin in origins.of(event.fingerprints[:VALUES_MAX])
            if origin == "unknown" and one.klass not in _PARTS
            and number_of(one.hash) & _MASK not in self.met
        ]  # fmt: skip
        precise = [one for one in lacking if one.klass != "amount"]
        return Answered(
            event.task_type, called, len(precise), len(lacking) - len(precise),
            [Value("unknown", one.klass[:16], one.path[:PATH_MAX], one.start, one.end)
             for one in precise[:TOLD_MAX]],
        )  # fmt: skip
