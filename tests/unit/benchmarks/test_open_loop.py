"""What the benchmarks' schedule promises: it is fixed in advance, and who is late is seen to be."""

from tests.benchmarks.open_loop import OpenLoop


def test_a_slow_consumer_moves_nothing() -> None:
    """A burst that took long is followed at once by those that fell due meanwhile."""
    loop = OpenLoop(rate=100.0, begin=0.0)
    loop.arrived(0.0)
    loop.due(10)
    waits = []
    for now in (0.5, 0.5, 0.5, 0.5, 0.5, 0.5):  # a stall of 0.5 s
        waits.append(loop.wait(now))
        loop.arrived(now)
        loop.due(10)

    assert [round(wait, 3) for wait in waits] == [0.0, 0.0, 0.0, 0.0, 0.0, 0.1]


def test_lateness_is_measured_from_the_schedule() -> None:
    """Each late burst counts with its own delay, not with that since the one before."""
    loop = OpenLoop(rate=10.0, begin=0.0)
    for now in (0.0, 0.3, 0.3):
        loop.arrived(now)
        loop.due(1)

    assert loop.late_ms == [0.0, 200.0, 100.0]


def test_who_is_early_is_not_late() -> None:
    """A sleep that ended too soon counts as on time, never as negative lateness."""
    loop = OpenLoop(rate=10.0, begin=1.0)
    loop.arrived(0.999)

    assert loop.late_ms == [0.0]
