"""Agents at one resource: what counts as being in each other's way, and what is a loop or a broken tool."""

import pickle

import pytest

from detectors import Contention
from detectors.contention import KEPT, WINDOW_SECONDS

THING, OTHER = 991, 992


def fires(*failures: tuple[str, str], about: int = THING, apart: float = 1.0) -> list[bool]:
    """Whether each failure, of whom and how, alarms."""
    rule, found = Contention(), list[bool]()
    for n, (agent, kind) in enumerate(failures):
        rule.update(agent, kind, (about,), n * apart)
        found.append(rule.fires)
    return found


def test_two_agents_that_both_try_again_are_in_each_others_way() -> None:
    """At the fourth failure and not before."""

    assert fires(*[("a", "lock"), ("b", "conflict")] * 2) == [False, False, False, True]


def test_four_agents_need_one_failure_each() -> None:
    """Nobody has tried again yet, but there are many of them."""

    assert fires(*((agent, "conflict") for agent in "abcd"))[-1]


def test_one_agent_alone_is_no_contention() -> None:
    """However often it tries: that is a loop, or a lock that no agent holds."""

    assert not any(fires(*[("a", "lock")] * 20))
    assert not any(fires(*[("a", "lock")] * 20, ("b", "lock")))


def test_time_that_runs_out_says_so_beside_a_conflict_only() -> None:
    """Waits alone are a slow tool; one lock among them tells what they waited for."""

    assert not any(fires(*[("a", "timeout"), ("b", "timeout")] * 5))
    assert fires(*[("a", "timeout"), ("b", "timeout")] * 2, ("a", "lock"))[-1]


def test_what_is_a_minute_old_counts_no_more() -> None:
    """Four failures of two agents within the minute; each half a minute apart they never meet."""

    assert fires(*[("a", "lock"), ("b", "lock")] * 4, apart=WINDOW_SECONDS / 4)[3]
    assert not any(fires(*[("a", "lock"), ("b", "lock")] * 4, apart=WINDOW_SECONDS / 2))


def test_a_tool_that_fails_everywhere_is_no_contention() -> None:
    """The same failures at one thing, among four times as many at others: the tool is at fault."""
    rule = Contention()
    found = []
    for n in range(30):
        rule.update("ab"[n % 2], "conflict", (THING if n % 5 == 4 else 5000 + n,), float(n))
        found.append(rule.fires)

    assert len([one for one in rule.window if THING in one[3]]) >= 4
    assert not any(found)


@pytest.mark.parametrize("about", [(THING, OTHER), (OTHER, THING)])
def test_of_several_things_the_contended_one_is_named(about: tuple[int, int]) -> None:
    """A call may be about an order and its file; they fight for the order."""
    rule = Contention()
    for n in range(3):
        rule.update("ab"[n % 2], "conflict", (THING,), float(n))
    rule.update("b", "conflict", about, 3.0)

    assert rule.fires and rule.resource == THING
    assert rule.evidence()["resource"] == f"{THING:08x}"
    assert rule.evidence()["agents"] == ["a", "b"]


def test_its_state_is_bounded() -> None:
    """A thousand failures within a second are no more than 32."""
    rule = Contention()
    for n in range(1000):
        rule.update(f"agent-{n}", "conflict", (n, n + 1, n + 2, n + 3), n / 1000)

    assert len(rule.window) == KEPT
    assert len(pickle.dumps(rule)) <= 2500
