"""Which telling values of a trace somebody in charge named, and which only came in with a result. Pure.

What the user and the system say is the order; what tools, documents and memories return is data, whoever
wrote it. An argument that stands in data alone was chosen by whoever wrote that.
"""

import msgspec

from ingest.records import Origin, Provenance, Value
from tracefuse.events import Event, Fingerprint

# 10 bytes each in a snapshot, so 8 kB of one trace at most. A user names few things; of listings the newest
# entries stay, and once some are forgotten, what nobody knows counts as listed.
NAMED_KEPT = 256
LISTED_KEPT = 384
ORDERED_KEPT = 128
# The SDK sends at most so many; a forged event may carry as many as fit into it.
VALUES_MAX = 256
PATH_MAX = 128
VALUES_KEPT = 16  # of a fact: classes times origins are hardly more

# Who speaks for those in charge, and what anybody may have written.
IN_CHARGE = frozenset({"input.user", "input.system"})
FOREIGN = frozenset({"tool.result", "retrieval", "memory.read"})


class Origins(msgspec.Struct, array_like=True):
    """The telling values that one trace has met so far, each by 64 bits of its keyed hash.

    Notes
    -----
    About 0.3 µs a value. What the agent itself says counts for neither side. It fails where somebody in
    charge pastes foreign text into the order, and on values that words spell out.
    """

    named: dict[int, None] = {}
    listed: dict[int, None] = {}
    ordered: dict[int, None] = {}  # those that stand in passages that give orders
    forgot: bool = False  # more came in than is known here
    source: str = ""  # the event whose orders were met last

    def hear(self, event: Event) -> None:
        """Somebody in charge speaks. The oldest stay: the order stands at the beginning."""
        for one in event.fingerprints[:VALUES_MAX]:
            if len(self.named) < NAMED_KEPT:
                self.named[_number(one.hash)] = None

    def read(self, event: Event) -> None:
        """Something came in that anybody may have written."""
        for one in event.fingerprints[:VALUES_MAX]:
            _keep(self.listed, _number(one.hash), LISTED_KEPT)
        self.forgot |= event.fingerprints_cut or len(self.listed) == LISTED_KEPT
        orders = event.sketches.get("orders")
        if isinstance(orders, list) and orders:
            self.source = event.event_id
            for told in orders[:VALUES_MAX]:
                _keep(self.ordered, _number(told), ORDERED_KEPT)

    def of(self, event: Event) -> Provenance | None:
        """Where the values of a call's arguments come from; None where they hold none.

        The first value of each class and origin stands for all of them.
        """
        found = event.fingerprints[:VALUES_MAX]
        if not found:
            return Provenance(cut=True) if event.fingerprints_cut else None
        hosts = {one.path: _number(one.hash) for one in found if one.klass == "host"}
        urls = {one.path for one in found if one.klass == "url"}
        values: dict[tuple[str, str], Value] = {}
        named = 0
        for one in found:
            if one.klass == "domain" or (one.klass == "host" and one.path in urls):
                continue  # part of a value that stands for itself
            origin = self._origin(one, hosts)
            named += origin == "named"
            if origin != "named" and (origin, one.klass) not in values:
                value = Value(origin, one.klass[:16], one.path[:PATH_MAX], one.start, one.end)
                values[origin, one.klass] = value
        return Provenance(
            named, list(values.values())[:VALUES_KEPT], bool(self.ordered),
            self.source, event.fingerprints_cut,
        )  # fmt: skip

    def _origin(self, one: Fingerprint, hosts: dict[str, int]) -> Origin:
        number = _number(one.hash)
        if number in self.named and number:
            return "named"
        host = hosts.get(one.path) if one.klass == "url" else None
        # A page of a demanded host, with whatever is appended to it, is as demanded as the host.
        if number in self.ordered or host in self.ordered:
            return "ordered"
        if host in self.named:
            return "named"
        if number in self.listed or self.forgot:
            return "listed"
        return "unknown"


def _keep(kept: dict[int, None], number: int, most: int) -> None:
    """Remember a value as the newest; the oldest goes."""
    kept.pop(number, None)
    kept[number] = None
    if len(kept) > most:
        del kept[next(iter(kept))]


def _number(digest: object) -> int:
    """64 bits of a hash as an agent wrote it; 0 for what is none, which nobody can name."""
    try:
        return int(digest[:16], 16) if isinstance(digest, str) else 0
    except ValueError:
        return 0
