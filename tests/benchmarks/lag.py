"""How long an event takes into ClickHouse, seen from outside: which rows answer, asked again and again."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from ingest.topics import PARTITIONS
from tracefuse.clock import monotonic, now_us

# Offsets of a partition rise with the broker's time: what came before the newest row was seen by an earlier
# probe. A look at the last seconds instead reads the more the later the rows are, and makes them later.
_LOOK = """
SELECT _partition, max(_offset), toUnixTimestamp64Micro(max(emitted_at)), toUnixTimestamp64Milli(max(_at))
FROM events WHERE _at >= fromUnixTimestamp64Milli({since:Int64}) GROUP BY _partition SETTINGS max_threads = 1
"""
_PLACES = """
SELECT _partition, _offset, toUnixTimestamp64Micro(emitted_at) FROM events
WHERE tenant = {tenant:String}
"""

Place = tuple[int, int, int]  # partition, offset, emitted at (µs)


class Seen(NamedTuple):
    """One probe: when its answer was there (µs), newest emit it saw, highest offset by partition."""

    at_us: int
    newest_us: int
    offsets: dict[int, int]


class Prober:
    """Asks ClickHouse what is there.

    Parameters
    ----------
    client
        A connection to ClickHouse; not closed here.
    tenant
        Whose events count.
    """

    def __init__(self, client: Client, tenant: str):
        self._client = client
        self._tenant = tenant
        # Of each partition, by the broker's clock in ms; nothing seen yet is as old as the beginning.
        self._newest = dict.fromkeys(range(PARTITIONS), now_us() // 1000)
        self.seen: list[Seen] = []
        self.took_ms: list[float] = []

    def look(self) -> Seen:
        """One probe. About 5 ms of the store's CPU."""
        began = monotonic()
        asked = {"since": min(self._newest.values())}
        rows = self._client.query(_LOOK, parameters=asked).result_rows
        self.took_ms.append((monotonic() - began) * 1e3)
        self._newest |= {row[0]: row[3] for row in rows}
        newest = max((row[2] for row in rows), default=0)
        seen = Seen(now_us(), newest, {row[0]: row[1] for row in rows})
        self.seen.append(seen)
        return seen

    def places(self) -> list[Place]:
        """Where each event stands, and when it was emitted."""
        rows = self._client.query(_PLACES, parameters={"tenant": self._tenant}).result_rows
        return [(row[0], row[1], row[2]) for row in rows]


def visible(probes: Iterable[Seen], events: Iterable[Place]) -> Iterator[tuple[int, int]]:
    """For each event its emit and the answer of the first probe that saw its row, both in µs.

    A row is there when its partition's highest offset has reached it, since one insert is one range
    of offsets. Events that no probe saw are left out.

    >>> probes = [Seen(100, 0, {0: 3}), Seen(200, 0, {0: 7})]
    >>> list(visible(probes, [(0, 3, 10), (0, 4, 20), (0, 9, 30), (1, 0, 40)]))
    [(10, 100), (20, 200)]
    """
    steps: dict[int, tuple[list[int], list[int]]] = {}
    for probe in probes:
        for partition, offset in probe.offsets.items():
            offsets, times = steps.setdefault(partition, ([], []))
            if not offsets or offset > offsets[-1]:
                offsets.append(offset)
                times.append(probe.at_us)
    for partition, offset, emitted in events:
        offsets, times = steps.get(partition, ([], []))
        first = bisect_left(offsets, offset)
        if first < len(offsets):
            yield emitted, times[first]
