"""Which telling values of a trace somebody in charge named, and which only came in with a result. Pure.

What the user and the system say is the order; what tools, documents and memories return is data, whoever
wrote it. An argument that stands in data alone was chosen by whoever wrote that.
"""

from collections.abc import Iterator

import msgspec

from ingest.records import Kept, Origin, Provenance, Value
from tracefuse.events import CONFIDENTIAL, Event, Fingerprint

# 10 bytes each in a snapshot, so 10 kB of one trace at most. The newest stay; once listed ones are
# forgotten, what nobody knows counts as listed.
NAMED_KEPT = 512
LISTED_KEPT = 384
ORDERED_KEPT = 128
# The SDK sends at most so many, names among them; a forged event may carry as many as fit into it.
VALUES_MAX = 320
PATH_MAX = 128
ENTRUSTED_KEPT = 16  # calls under way that read what somebody in charge named
RECALLED_KEPT = 48  # addresses out of memory; beyond them each listed one counts as recalled
GUARDED_KEPT = 48  # values of confidential results; beyond them each listed one counts as such
KEPT_MAX = 8  # of one write to memory, or of one call
VALUES_KEPT = 16  # of a fact: classes times origins are hardly more

# Who speaks for those in charge, and what anybody may have written.
IN_CHARGE = frozenset({"input.user", "input.system"})
FOREIGN = frozenset({"tool.result", "retrieval", "memory.read"})
# Where a call acts: nobody writes these by chance.
ADDRESSES = frozenset({"email", "account", "url", "host"})
# What a source is named by; a name or an amount fits many sources.
_PRECISE = ADDRESSES | {"path", "id"}
# What of a confidential result tells it again: whose record it is, not on which server it lies.
_GUARDED = _PRECISE - {"host"}


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
    flooded: bool = False  # more was ordered than is known here
    entrusted: dict[str, None] = {}  # calls that read what somebody in charge named, all of it
    recalled: dict[int, None] = {}  # addresses that were read from memory
    recalled_more: bool = False  # more than is known here
    guarded: dict[int, None] = {}  # what confidential results told
    guarded_more: bool = False  # more than is known here

    def hear(self, event: Event) -> None:
        """Somebody in charge speaks."""
        for one in event.fingerprints[:VALUES_MAX]:
            _keep(self.named, number_of(one.hash), NAMED_KEPT)

    def read(self, event: Event) -> bool:
        """Something came in that anybody may have written; whether it tells a value that is new here.

        Who sends the agent to that very file or mail may want done what stands there: what it demands of
        names, ids and paths is taken for data then. To where, it may not say.
        """
        entrusted = bool(self.entrusted) and event.call_id in self.entrusted
        self.entrusted.pop(event.call_id, None)
        listed, news = self.listed, False
        for one in event.fingerprints[:VALUES_MAX]:
            number = number_of(one.hash)
            news |= number not in listed
            _keep(listed, number, LISTED_KEPT)
        self.forgot |= event.fingerprints_cut or len(self.listed) == LISTED_KEPT
        if event.name == "memory.read":
            self._recall(event)
        elif CONFIDENTIAL in event.data_classes:
            self._guard(event)
        demanded = event.sketches.get("orders")
        for klass, told in demanded.items() if isinstance(demanded, dict) else ():
            if isinstance(told, list) and told and (klass in ADDRESSES or not entrusted):
                self.source = event.event_id
                for one in told[:VALUES_MAX]:
                    _keep(self.ordered, number_of(one), ORDERED_KEPT)
        self.flooded |= len(self.ordered) == ORDERED_KEPT or "orders_cut" in event.sketches
        return news

    def _recall(self, event: Event) -> None:
        """Something was read from memory."""
        for one in event.fingerprints[:VALUES_MAX]:
            if one.klass in ADDRESSES:
                _keep(self.recalled, number_of(one.hash), RECALLED_KEPT)
        self.recalled_more |= event.fingerprints_cut or len(self.recalled) == RECALLED_KEPT

    def _guard(self, event: Event) -> None:
        """A confidential result came in."""
        for one in event.fingerprints[:VALUES_MAX]:
            if one.klass in _GUARDED:
                _keep(self.guarded, number_of(one.hash), GUARDED_KEPT)
        self.guarded_more |= event.fingerprints_cut or len(self.guarded) == GUARDED_KEPT

    def _leaked(self, found: list[Fingerprint], hosts: dict[str, int]) -> list[Kept]:
        """Values of a call that confidential results told and nobody in charge named."""
        if not self.guarded:
            return []
        more = self.guarded_more
        return [
            Kept(one.hash[:16], one.klass, origin, one.path[:PATH_MAX])
            for one, origin in ((one, self._origin(one, hosts)) for one in found)
            if one.klass in _GUARDED and origin in ("listed", "ordered")
            if more or number_of(one.hash) in self.guarded
        ][:KEPT_MAX]

    def stored(self, event: Event) -> Provenance | None:
        """Addresses that a write puts into memory and that only foreign text has told."""
        found = event.fingerprints[:VALUES_MAX]
        kept = self._addresses(found, _hosts(found))
        return Provenance(memory=_worst(kept)) if kept else None

    def _addresses(self, found: list[Fingerprint], hosts: dict[str, int]) -> list[Kept]:
        told = (one for one in found if one.klass in ADDRESSES)
        origins = ((one, self._origin(one, hosts)) for one in told)
        return [
            Kept(one.hash[:16], one.klass, origin, one.path[:PATH_MAX])
            for one, origin in origins
            if origin in ("listed", "ordered")
        ]

    def _recalled(self, found: list[Fingerprint], hosts: dict[str, int]) -> list[Kept]:
        if not self.recalled:
            return []
        kept, more = self._addresses(found, hosts), self.recalled_more
        return _worst([one for one in kept if more or number_of(one.hash) in self.recalled])

    def asked(self, event: Event) -> Provenance | None:
        """Where the values of a call's arguments come from; None where they hold none.

        The first value of each class and origin stands for all of them.
        """
        found = event.fingerprints[:VALUES_MAX]
        if not found:
            return Provenance(cut=True) if event.fingerprints_cut else None
        hosts = _hosts(found)
        urls = {one.path for one in found if one.klass == "url"}
        values: dict[tuple[str, str], Value] = {}
        named = precise = 0
        for one in found:
            if one.klass == "domain" or (one.klass == "host" and one.path in urls):
                continue  # part of a value that stands for itself
            origin = self._origin(one, hosts)
            if one.klass == "name" and origin != "ordered":
                continue  # names are only known where somebody demanded something
            named += origin == "named"
            precise += origin == "named" and one.klass in _PRECISE
            if origin != "named" and (origin, one.klass) not in values:
                value = Value(origin, one.klass[:16], one.path[:PATH_MAX], one.start, one.end)
                values[origin, one.klass] = value
        if precise and not values:
            self.entrusted[event.call_id] = None
            if len(self.entrusted) > ENTRUSTED_KEPT:
                del self.entrusted[next(iter(self.entrusted))]
        return Provenance(
            named, list(values.values())[:VALUES_KEPT], bool(self.ordered),
            self.source, event.fingerprints_cut, self._recalled(found, hosts),
            self._leaked(found, hosts),
        )  # fmt: skip

    def of(self, found: list[Fingerprint]) -> Iterator[tuple[Fingerprint, Origin]]:
        """Each value with where it was met."""
        hosts = _hosts(found)
        for one in found:
            yield one, self._origin(one, hosts)

    def _origin(self, one: Fingerprint, hosts: dict[str, int]) -> Origin:
        number = number_of(one.hash)
        if number in self.named and number:
            return "named"
        host = hosts.get(one.path) if one.klass == "url" else None
        # A page of a demanded host, with whatever is appended to it, is as demanded as the host.
        if number in self.ordered or host in self.ordered:
            return "ordered"
        if host in self.named:
            return "named"
        if number not in self.listed and not self.forgot:
            return "unknown"
        return "ordered" if self.flooded and one.klass in ADDRESSES else "listed"


def _hosts(found: list[Fingerprint]) -> dict[str, int]:
    return {one.path: number_of(one.hash) for one in found if one.klass == "host"}


def _worst(kept: list[Kept]) -> list[Kept]:
    """The few that are told, what was ordered first."""
    return sorted(kept, key=lambda one: one.origin != "ordered")[:KEPT_MAX]


def _keep(kept: dict[int, None], number: int, most: int) -> None:
    """Remember a value as the newest; the oldest goes."""
    kept.pop(number, None)
    kept[number] = None
    if len(kept) > most:
        del kept[next(iter(kept))]


def number_of(digest: object) -> int:
    """64 bits of a hash as an agent wrote it; 0 for what is none, which nobody can name."""
    try:
        return int(digest[:16], 16) if isinstance(digest, str) else 0
    except ValueError:
        return 0
