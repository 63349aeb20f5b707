"""Versions of its own file that an agent's process obeys: signed, its own, and never an older one again."""

import msgspec
import pytest

from ingest.records import Registered
from tests.pipe import AGENT, REGISTRY, TENANT, registered
from tests.sdk import CREDENTIAL
from tracefuse.answers import Answers
from tracefuse.held import Held

KEY = f"{TENANT}/{AGENT}"


@pytest.fixture
def answers() -> Answers:
    credential = msgspec.structs.replace(
        CREDENTIAL, tenant=TENANT, agent_id=AGENT, command_keys={REGISTRY.kid: REGISTRY.public}
    )
    return Answers(credential, Held("b"))


def read(answers: Answers, fact: Registered, key: str = KEY) -> None:
    answers.file(key, fact.payload, fact.kid, fact.sig)


def test_a_newer_version_is_obeyed_and_an_older_one_is_not(answers: Answers) -> None:
    """The registry is compacted in its own time: a reader meets older versions after newer ones."""
    for version in (2, 3, 1):
        read(answers, registered(version=version))

    assert answers.held.grants is not None
    assert answers.held.grants.version == 3
    assert answers.rejected == 0


def test_a_version_keeps_its_contents(answers: Answers) -> None:
    """An old record of the version in force, with other contents, changes nothing and is counted."""
    narrow, wide = (registered(version=2, held=held) for held in (["read", "write"], ["write"]))
    for fact in (narrow, narrow, wide):
        read(answers, fact)

    assert answers.held.grants is not None
    assert answers.held.grants.held == ("read", "write")
    assert answers.rejected == 1


def test_what_is_unsigned_or_of_another_agent_is_none(answers: Answers) -> None:
    """One changed byte, or the file of somebody else under our key."""
    mine, others = registered(version=2), registered("other", version=2)
    read(answers, msgspec.structs.replace(mine, payload=mine.payload.replace(b":2", b":9")))
    read(answers, others)
    read(answers, others, f"{TENANT}/other")

    assert answers.held.grants is None
    assert answers.rejected == 2
