"""What comes late is waited for, what never comes is lost after a while."""

from dashboards.demo_settling import QUIESCENCE_S, SETTLE_S_MAX, Settling


def waited(sizes: list[tuple[int, int]], sent: int, every: float = 1.0) -> float:
    """Seconds until it is over, with one look every so often; the last sizes stay."""
    settling, now = Settling(sent, 0.0), 0.0
    while True:
        now += every
        if settling.over(sizes.pop(0) if len(sizes) > 1 else sizes[0], now):
            return now


def test_late_rows_are_waited_for() -> None:
    """A row every few seconds, for longer than the pause that means the end."""
    late = [(n, 0) for n in range(1, 9) for _ in range(5)]

    assert waited(late, sent=8) > QUIESCENCE_S * 1.5


def test_other_tables_settle_too() -> None:
    """All events are there, and their steps still come."""
    assert waited([(5, 1), (5, 2), (5, 3)], sent=5) == 4.0


def test_what_never_comes_is_lost_after_a_pause() -> None:
    """One pause and no more; and whatever still comes, nobody waits for ever."""
    assert waited([(4, 0)], sent=5) == 1.0 + QUIESCENCE_S
    assert waited([(0, n) for n in range(1000)], sent=5) == SETTLE_S_MAX
