"""First times: what counts as new, when that is worth a word, what teaches, what it costs."""

import pickle
from random import Random

import pytest

from detectors.first_time import FirstTime

DAY = 86_400.0


def used(calls: int = 1000, a_day: int = 50) -> FirstTime:
    """An agent that reads and writes in one way each, at two places."""
    first = FirstTime()
    for i in range(calls):
        first.update(("db.read", "db.write")[i % 2], 5 + i % 2, [i // 2 % 2], i * DAY / a_day)
    return first


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (("db.export", 9, [7]), "tool"), (("db.write", 9, [0]), "form"), (("db.write", 6, [7]), "place"),
        (("db.write", 6, [0, 7]), "place"),
    ],
)  # fmt: skip
def test_what_is_new_is_found_once(call: tuple[str, int, list[int]], kind: str) -> None:
    """A tool, a form, a place; afterwards it is as usual as anything."""
    first = used()
    first.update(*call, now=20 * DAY)
    found = first.fires, first.evidence()["observed"]
    first.update(*call, now=20 * DAY)

    assert found == (True, kind)
    assert (first.fires, first.odd, first.score) == (False, False, 0.0)


def test_what_is_usual_is_not() -> None:
    """The twin: the same agent goes on as before, for as long again."""
    first = used()
    for i in range(1000):
        first.update(("db.read", "db.write")[i % 2], 5 + i % 2, [i // 2 % 2], (20 + i / 50) * DAY)
        assert not first.odd


def test_a_young_agent_does_everything_for_the_first_time() -> None:
    """Good-Turing says how much is still to come: while it is much, nothing is worth a word."""
    young, old = used(calls=110), used(calls=1000)

    for first in (young, old):
        first.update("db.export", now=20 * DAY)

    assert (young.odd, old.odd) == (False, True)


def test_a_tool_that_goes_anywhere_says_nothing_of_places() -> None:
    """Ever new customers: another one is no news, and the other tool's places stay news."""
    first, rng = used(), Random(7)
    for i in range(3000):
        first.update("mail.send", 3, [rng.getrandbits(31)], (20 + i / 100) * DAY)
        assert i < 20 or not first.odd

    assert first.update("db.write", 6, [99], 60 * DAY) > first.threshold


def test_several_new_things_in_a_day_are_rarer_than_one() -> None:
    """The second novelty of a day weighs more than the first."""
    first = used(calls=1500)
    one = first.update("db.export", now=30 * DAY)
    two = first.update("db.erase", now=30 * DAY + 60)
    late = first.update("db.rename", now=31 * DAY)

    assert two > one
    assert late < two


def test_a_call_that_did_not_run_stays_new() -> None:
    """Told once; but what a person has refused is asked again, and does not become usual."""
    first = used()
    said = []
    for _ in range(3):
        first.update("db.erase", now=20 * DAY, phase="asked")
        said.append((first.fires, first.odd, first.ran("db.erase")))
    first.update("db.erase", phase="done")
    first.update("db.erase", now=20 * DAY, phase="asked")

    assert said == [(True, True, False), (False, True, False), (False, True, False)]
    assert (first.odd, first.ran("db.erase")) == (False, True)


def test_who_asks_for_much_makes_nothing_forgotten() -> None:
    """Calls that never run push out no place that is known."""
    first = used()
    for place in range(100, 200):
        first.update("db.write", 6, [place], 20 * DAY, phase="asked")

    assert first.update("db.write", 6, [0, 1], 20 * DAY, phase="asked") == 0.0


def test_the_most_scattered_agent_costs_four_kilobytes() -> None:
    """Ever new tools, forms and places."""
    first, rng = FirstTime(), Random(7)
    for i in range(20_000):
        first.update(
            f"tool-{rng.randrange(90)}", rng.getrandbits(31), [rng.getrandbits(31)], i * 60.0
        )

    assert len(pickle.dumps(first)) <= 4096


def test_what_was_new_while_it_learnt_counts_for_nothing() -> None:
    """On its first day an agent shows all its tools; that makes one more of them no rarer."""
    first, slow = FirstTime(), FirstTime()
    for i in range(600):
        first.update(f"tool-{min(i // 20, 9)}", now=60.0 * i)
        slow.update(f"tool-{min(i // 20, 9)}", now=600.0 * i)

    assert first.update("db.export", now=36_000.0) == slow.update("db.export", now=360_000.0)
