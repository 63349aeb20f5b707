"""What the measured lag promises: each event counts, rounded up to the probe that first saw its row."""

from types import SimpleNamespace
from typing import Any, cast

from clickhouse_connect.driver.client import Client

from ingest.topics import PARTITIONS
from tests.benchmarks.lag import Prober, Seen, visible


def test_an_event_is_as_late_as_its_partition() -> None:
    """A fast partition does not hide a slow one: rows count where they stand."""
    probes = [Seen(1_000, 0, {0: 9, 1: 0}), Seen(2_000, 0, {0: 20, 1: 9})]
    events = [(0, 5, 500), (1, 5, 500)]

    assert list(visible(probes, events)) == [(500, 1_000), (500, 2_000)]


def test_a_partition_that_no_probe_mentions_keeps_what_was_seen() -> None:
    """A quiet partition drops out of a probe's answer; its rows are still seen since the earlier one."""
    probes = [Seen(1_000, 0, {0: 9}), Seen(2_000, 0, {}), Seen(3_000, 0, {0: 12})]

    assert list(visible(probes, [(0, 9, 1), (0, 10, 2)])) == [(1, 1_000), (2, 3_000)]


def test_what_was_never_seen_is_not_counted_as_fast() -> None:
    """An event beyond the last probe has no lag at all, rather than a small one."""
    assert list(visible([Seen(1_000, 0, {0: 3})], [(0, 4, 1), (2, 0, 1)])) == []


class Rows:
    """A store that answers with the rows from `since` on, as `_LOOK` asks."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int]] = []  # partition, offset, broker's time in ms
        self.asked: list[int] = []

    def query(self, _: str, parameters: dict[str, int]) -> Any:
        self.asked.append(since := parameters["since"])
        found: dict[int, tuple[int, int, int, int]] = {}
        for partition, offset, at in self.rows:
            if at >= since:
                found[partition] = (partition, offset, at * 1000, at)
        return SimpleNamespace(result_rows=list(found.values()))


def test_a_probe_reads_on_where_the_slowest_partition_stands() -> None:
    """However late rows show up, the next look begins before them; and it does not begin at the start."""
    store = Rows()
    prober = Prober(cast(Client, store), "t")
    start = max(prober._newest.values())
    prober.look()
    store.rows += [(p, 0, start + 10 + p) for p in range(PARTITIONS)]
    prober.look()
    store.rows += [(0, 1, start + 900)]
    prober.look()
    store.rows += [(1, 1, start + 12), (1, 2, start + 800)]

    seen = prober.look()
    assert seen.offsets[0] == 1 and seen.offsets[1] == 2
    assert store.asked == [start, start, start + 10, start + 11]
