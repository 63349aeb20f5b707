"""When a worker must end by itself, and when it must not."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream.worker.app import App
from stream.worker.watchdog import (
    ENDING_SECONDS,
    SESSION_SECONDS,
    STUCK_SECONDS,
    UNKNOWN_SECONDS,
    Watchdog,
)
from stream.worker.watchdog import Seen as Look


def reading(coordinator: int | None) -> SimpleNamespace:
    """A consumer as Faust keeps it, whose group has this coordinator."""
    client = SimpleNamespace(_coordinator=SimpleNamespace(coordinator_id=coordinator))
    return SimpleNamespace(_thread=SimpleNamespace(_consumer=client))


GROUPS = {
    "no consumer yet": (None, True),
    "no client yet": (SimpleNamespace(_thread=SimpleNamespace(_consumer=None)), True),
    "not started": (
        SimpleNamespace(_thread=SimpleNamespace(_consumer=SimpleNamespace(_coordinator=None))),
        True,
    ),
    "known": (reading(1), True),
    "unknown": (reading(None), False),
}
STEP = 0.25  # s between two looks


def seen(processed: int, *, owns: bool = True, known: bool = True, ending: bool = False) -> Look:
    return Look(processed, owns, known, ending)


def ended(looks: list[Look]) -> tuple[float, str]:
    """When the first reason came, in s, and which; -1 when none did."""
    dog = Watchdog(0.0)
    for number, look in enumerate(looks, 1):
        if why := dog.why(number * STEP, look):
            return number * STEP, why
    return -1.0, ""


def test_who_reads_and_is_known_goes_on() -> None:
    """Ten minutes of records, of which some quarters of a second have none."""
    assert ended([seen(n // 2 + 1) for n in range(2400)]) == (-1.0, "")


def test_who_stood_still_past_its_session_ends() -> None:
    """Others own its partitions by then; a shorter sleep costs nothing."""
    dog = Watchdog(0.0)

    assert not dog.why(0.7 * SESSION_SECONDS, seen(5))
    assert "stood still" in dog.why(1.6 * SESSION_SECONDS, seen(5))


def test_who_reads_nothing_for_a_minute_ends() -> None:
    """There are ticks twice a second: whoever hears none is broken."""
    when, why = ended([seen(7)] * 400)

    assert when == pytest.approx(STUCK_SECONDS, abs=1.0)
    assert why == "it has read nothing for a minute"


@pytest.mark.parametrize("look", [seen(0), seen(7, owns=False)])
def test_who_has_nothing_to_read_waits(look: Look) -> None:
    """Before its first record, and without a partition, silence says nothing."""
    assert ended([look] * 400) == (-1.0, "")


def test_who_gets_partitions_back_has_its_minute() -> None:
    """A worker that had none for a while is not judged by that while."""
    looks = [seen(7)] * 4 + [seen(7, owns=False)] * 400 + [seen(7)] * 8

    assert ended(looks) == (-1.0, "")


def test_who_reads_without_a_coordinator_ends() -> None:
    """Its heartbeats reach nobody, so its partitions may be another's."""
    when, why = ended([seen(n + 1, known=n < 8) for n in range(400)])

    assert when == pytest.approx(2.0 + UNKNOWN_SECONDS, abs=0.6)
    assert why == "it reads, and its group has lost it"


def test_an_outage_of_the_broker_ends_nobody() -> None:
    """Without a broker nobody knows a coordinator and nobody reads; both come back together."""
    before = [seen(n + 1) for n in range(8)]
    outage = [seen(8, known=False)] * int(50 / STEP)
    after = [seen(n + 9, known=n > 4) for n in range(400)]

    assert ended([*before, *outage, *after]) == (-1.0, "")


def test_an_end_that_waits_in_vain_is_cut() -> None:
    """Who is told to end has ended after ten seconds, whether the broker answers or not."""
    when, why = ended([seen(3)] * 4 + [seen(3, known=False, ending=True)] * 100)

    assert when == pytest.approx(1.0 + ENDING_SECONDS, abs=0.6)
    assert "told to end" in why


def test_an_orderly_end_is_left_alone() -> None:
    """Two seconds is what it takes."""
    assert ended([seen(3)] * 4 + [seen(3, ending=True)] * 8) == (-1.0, "")


@pytest.mark.parametrize("when", GROUPS)
def test_a_client_that_has_not_begun_is_not_lost(when: str) -> None:
    """The look never raises, else nobody would look any more; only who looks for its group is without it."""
    consumer, coordinated = GROUPS[when]
    app: Any = SimpleNamespace(_reading=consumer)

    assert App.coordinated.fget(app) is coordinated  # type: ignore[attr-defined]
