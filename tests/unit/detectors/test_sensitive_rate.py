"""Calls that carry sensitive data: more of them than usual are found, whatever is usual is not."""

import random

import pytest

from detectors import SensitiveRate


def alarms(share: float, then: float, seed: int) -> list[int]:
    """Where it fires: 600 calls of one share, then 200 of another."""
    rng, calls, found = random.Random(seed), SensitiveRate(), []
    for i in range(800):
        calls.update(["email"] if rng.random() < (share if i < 600 else then) else [])
        if calls.fires:
            found.append(i)
    return found


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
def test_a_tools_own_share_is_usual(share: float) -> None:
    """A mailer's addresses are no news, nor is a ticket that names somebody now and then."""
    assert sum(len(alarms(share, share, seed)) for seed in range(20)) <= 1


def test_a_tool_that_begins_to_carry_is_found() -> None:
    """From 1 % to 20 %: within 40 calls at the median."""
    found = sorted(next(i for i in alarms(0.01, 0.2, seed) if i >= 600) - 600 for seed in range(20))

    assert found[10] <= 40


def test_many_classes_of_one_call_are_one_call() -> None:
    """A long list in one call is no habit."""
    calls = SensitiveRate()
    for i in range(1000):
        calls.update(["email", "iban", "card"] if i == 900 else [])
        assert not calls.fires
    assert calls.evidence()["classes"] == ["email", "iban", "card"]
