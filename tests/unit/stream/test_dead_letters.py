"""When a reader has set so much aside that it must stop, and what does not count for that."""

import pytest

from ingest import codec
from ingest.topics import DLQ, INBOX, QUARANTINE
from stream.dead_letters import ROW_MAX, SHARE_LINES, Limit, TooManyDeadLetters, counted
from stream.outputs import Line, Output
from tracefuse import wire

EVENTS = [(wire.KIND, codec.EVENTS)]


def told(*records: tuple[int, int]) -> Limit:
    """A limit that has taken records of so many lines, of which so many were dead."""
    limit = Limit()
    for lines, dead in records:
        limit.take(lines, dead)
    return limit


def line(topic: str) -> Line:
    return Line(topic, "key", codec.DEAD, b"{}")


def test_ten_in_a_row_are_too_many() -> None:
    """Nine are bad luck; and it is the lines that count, in however few records."""
    assert not told(*[(1, 1)] * (ROW_MAX - 1)).reached
    assert told(*[(1, 1)] * ROW_MAX).reached == "10 lines in a row"
    assert told((6, 6), (4, 4)).reached == "10 lines in a row"


@pytest.mark.parametrize("good", [(1, 0), (50, 49)])
def test_one_good_line_ends_a_row(good: tuple[int, int]) -> None:
    """Whoever can read some of it has no fault that a stop would mend."""
    assert not told(*[(1, 1)] * 9, good, *[(1, 1)] * 9).reached


def test_ticks_between_them_do_not() -> None:
    """They come twice a second: else no quiet partition would ever have a row."""
    assert told(*[(1, 1), (0, 0)] * ROW_MAX).reached


def test_one_in_twenty_is_too_many() -> None:
    """Once there are enough lines for a share to mean anything."""
    mixed = [(19, 0), (1, 1)]

    assert not told(*mixed * (SHARE_LINES // 20 - 1)).reached
    assert told(*mixed * (SHARE_LINES // 20)).reached == "10 of 200 lines"
    assert not told(*[(29, 0), (1, 1)] * 1000).reached


def test_good_years_excuse_nothing() -> None:
    """The share is that of the newest lines, not of all since the start."""
    limit = told(*[(50, 0)] * 10_000)
    for _ in range(30):
        limit.take(9, 0)
        limit.take(1, 1)

    assert limit.reached


def test_one_agent_alone_stops_nobody() -> None:
    """Rubbish of one agent is its own fault; of two it is ours."""
    alone, mixed, two = Limit(), Limit(), Limit()
    for n in range(1000):
        alone.take(1, 1, b"acme/a/1")
        mixed.take(1, n % 2, b"acme/a/1")
        two.take(1, 1, b"acme/b/1" if n == 5 else b"acme/a/1")

    assert (alone.reached, mixed.reached) == ("", "")
    assert two.reached


def test_what_was_reached_stays_reached() -> None:
    """Good lines of the same batch don't take it back, and the error names place and offset."""
    limit = told(*[(1, 1)] * ROW_MAX, (50, 0))
    error = limit.stop(INBOX, 3, 17)

    assert isinstance(error, TooManyDeadLetters)
    assert str(error) == "10 lines in a row of agent.inbox.v1/3 can't be read, up to offset 17"


def test_lines_are_counted_and_the_dead_among_them() -> None:
    """Lines of an envelope, with or without an end to the last one."""
    dead: list[Output] = [line(INBOX), line(DLQ), line(DLQ)]

    assert counted(EVENTS, b"{}\n{}\n{}", dead) == (3, 2)
    assert counted([(wire.KIND, codec.INBOX)], b"{}\n{}\n", dead[:1]) == (2, 0)
    assert counted(EVENTS, b"", []) == (0, 0)
    assert counted([(wire.KIND, codec.TICK)], b"{}", []) == (0, 0)


def test_a_forgery_counts_for_nobody() -> None:
    """F21: else whoever can write into a topic could stop its reader, or hide what must stop it."""
    assert counted(EVENTS, b"{}\n{}", [line(QUARANTINE)]) == (0, 0)
    assert counted(EVENTS, b"{}\n{}", [line(DLQ), line(QUARANTINE)]) == (0, 0)
