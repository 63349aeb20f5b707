"""Which tools the canary calls: bets on whose a run was, given its tools."""

import random
from typing import Any

import pytest

from detectors import CanaryMix
from detectors.canary_mix import CATEGORIES_MAX, OTHERS

TOOLS = ["find", "read", "list", "note", "update", "mail"]


def named(mix: CanaryMix) -> tuple[str, float, float]:
    """The most telling tool: its part of the canary's calls, and of the others'."""
    tools: Any = mix.evidence()["tools"]
    tool, canary, stable = tools[0]
    return tool, canary, stable


def played(
    new: list[int], runs: int, share: float = 0.1, seed: int = 3, crowd: int = 1
) -> CanaryMix:
    """Runs of eight calls; `new` are the canary's weights, `crowd` how often a call comes again at once."""
    rng, mix = random.Random(seed), CanaryMix()
    for _ in range(runs):
        own = rng.random() < share
        weights = new if own else [6, 5, 4, 3, 2, 1]
        calls = [tool for tool in rng.choices(TOOLS, weights, k=8 // crowd) for _ in range(crowd)]
        mix.update(calls, own, share)
        if mix.fires:
            break
    return mix


def test_moved_calls_are_found_and_named() -> None:
    """The canary mails where it listed; the evidence begins with one of the two, with both shares."""
    mix = played([6, 5, 1, 3, 2, 4], 2000)
    tool, canary, stable = named(mix)

    assert mix.fires and mix.n < 600
    assert (tool, canary > stable) in {("mail", True), ("list", False)}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_calls_that_come_in_crowds_are_no_evidence(share: float) -> None:
    """Whole runs of one tool: eight calls of a run say no more than one. Of 40 roll-outs two may err."""
    false = sum(played([6, 5, 4, 3, 2, 1], 1000, share, seed, crowd=8).fires for seed in range(40))

    assert false <= 2


def test_a_season_of_both_is_no_evidence() -> None:
    """Mornings of reads and evenings of mails, for canary and stable bundle alike."""
    rng, mix = random.Random(5), CanaryMix()
    for i in range(3000):
        morning = i % 400 < 200
        mix.update(["read" if morning else "mail"] * 4, rng.random() < 0.1, 0.1)

    assert not mix.fires


def test_a_tool_that_only_the_canary_knows_is_found_at_once() -> None:
    """It is no part of the stable bundle's runs at all."""
    mix, runs = CanaryMix(), 0
    for i in range(400):
        mix.update(["read"] * 8 + ["wipe"] * (i % 10 == 9 and i > 100), i % 10 == 9, 0.1)
        runs += i > 100 and not mix.fires

    assert mix.fires and runs <= 50


def test_what_is_shown_stays_shown() -> None:
    """A canary that behaves while it is watched again has not been judged by a person."""
    mix = played([6, 5, 1, 3, 2, 4], 2000)
    for i in range(500):
        mix.update(["find"], i % 10 == 0, 0.1)

    assert mix.fires


def test_tools_without_number_count_as_others() -> None:
    """Names come from the agent: the sixteenth and all after it share a place."""
    mix = CanaryMix()
    for i in range(200):
        mix.update([f"tool-{i % 40}"], i % 10 == 0, 0.1)
    for i in range(400):
        mix.update(["tool-0" if i % 10 else f"tool-{20 + i % 17}"], i % 10 == 0, 0.1)

    assert len(mix._wealth) == 4 * CATEGORIES_MAX
    assert named(mix)[0] in {OTHERS, "tool-0"}


def test_a_run_without_calls_says_nothing() -> None:
    """Nothing was called, so nothing tells whose it was."""
    mix = CanaryMix()

    assert mix.update([], True, 0.1) == 0.0
    assert mix.n == 0
