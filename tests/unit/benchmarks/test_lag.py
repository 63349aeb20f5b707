"""What the measured lag promises: each event counts, rounded up to the probe that first saw its row."""

from tests.benchmarks.lag import Seen, visible, window


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


def test_the_window_grows_with_the_slowest_partition() -> None:
    """A probe looks back beyond what the slowest partition may still show, however late that is."""
    fresh = {0: 99_000_000, 1: 99_000_000}
    stuck = {0: 99_000_000, 1: 40_000_000}

    assert window(fresh, now=100_000_000) < 10
    assert window(stuck, now=100_000_000) > 100 - 40
