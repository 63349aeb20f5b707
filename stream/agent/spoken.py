"""A person's signed word as it reaches an agent's owner: opened, and whether it still counts. Pure.

Answers to calls that wait, reviews of allowed calls and judgements of incidents come this way. Whoever may
write into the inbox is not therefore a person.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import msgspec

from tracefuse.people import by_person
from tracefuse.signing import CommandVerifier

JUDGES_MAX = 16  # people who judge one thing
NAME_CHARACTERS_MAX = 256  # as long as an event's own names
T = TypeVar("T")


class Fact(Protocol):
    """What carries a signed word."""

    kid: str
    sig: bytes
    payload: bytes


def opened(
    fact: Fact, key: str, decode: Callable[[bytes], T], verifier: CommandVerifier
) -> T | str:
    """What a person has signed together with `key`, or in words why it is nothing."""
    if not by_person(verifier, key, fact.payload, fact.kid, fact.sig):
        return "it is not signed by a person's key that we know"
    try:
        return decode(fact.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "it can't be read"


def outdated(by: str, at: int, judged: Mapping[str, int]) -> str:
    """Why a word changes nothing after those that were said, by person and time (µs); empty if it counts.

    >>> outdated("ann", 5, {"ann": 5}), outdated("bob", 5, {"ann": 9})
    ('ann has said something newer, or the same', '')
    """
    if at <= judged.get(by, -1):
        return f"{by} has said something newer, or the same"
    if by not in judged and len(judged) >= JUDGES_MAX:
        return "enough people have judged it"
    return ""
