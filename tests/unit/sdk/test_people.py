"""What takes two people: neither one signature, nor two of one person, move the gate for the fleet."""

import pytest

from tracefuse import people
from tracefuse.control import Command, Reason, control_key
from tracefuse.errors import CircuitOpen
from tracefuse.gate import Changed, Gate, Rejected
from tracefuse.people import Signed
from tracefuse.signing import CommandSigner, CommandVerifier

ANN = CommandSigner("human/1", b"h" * 32)
ANN_NEXT = CommandSigner("human/2", b"i" * 32)
BOB = CommandSigner("human/second/1", b"s" * 32)
ALIAS = CommandSigner("human/alias/1", b"h" * 32)  # Ann's key under another name
STRANGER = CommandSigner("human/stranger/1", b"x" * 32)
AUTO = CommandSigner("auto/1", b"a" * 32)
KNOWN = {s.kid: s.public for s in (ANN, ANN_NEXT, BOB, ALIAS, AUTO)}
FLEET = control_key("fleet", "human")


def stop(epoch: int = 1, scope: str = "fleet") -> Command:
    return Command(
        cmd_id="h", scope=scope, author="human", action="open", state="forced_open", epoch=epoch,
        reason=Reason("human"),
    )  # fmt: skip


def gate() -> Gate:
    return Gate("acme", "refunds", CommandVerifier(KNOWN))


def hear(judged: Gate, key: str, said: Signed) -> Changed | Rejected | None:
    return judged.hear(key, said.payload, said.kid, said.sig, 0, said.kid2, said.sig2)


def runs(judged: Gate) -> bool:
    try:
        judged.admit("0" * 32, "t", 0.0)
    except CircuitOpen:
        return False
    return True


def test_two_people_stop_everything() -> None:
    """Whoever signs first; also for an agent of another tenant."""
    for first, second in ((ANN, BOB), (BOB, ANN_NEXT)):
        judged = gate()
        said = people.cosign(people.sign(stop(), first), second)

        assert isinstance(hear(judged, FLEET, said), Changed)
        assert not runs(judged)


@pytest.mark.parametrize(
    "second", [None, ANN, ANN_NEXT, ALIAS, STRANGER, AUTO],
    ids=["nobody", "herself", "her next key", "her key renamed", "a stranger", "a worker"],
)  # fmt: skip
def test_one_person_does_not(second: CommandSigner | None) -> None:
    """Not alone, not with another key of hers, not with a key that nobody pinned or a worker's."""
    judged = gate()
    said = people.sign(stop(), ANN)
    outcome = hear(judged, FLEET, people.cosign(said, second) if second else said)

    assert isinstance(outcome, Rejected)
    assert outcome.reason == "signature"
    assert runs(judged)


def test_the_second_signature_is_over_the_same_bytes() -> None:
    """One that Bob gave for another command, or for another scope, is none here."""
    judged = gate()
    ann = people.sign(stop(epoch=2), ANN)
    for other in (stop(epoch=1), stop(epoch=2, scope="tenant:acme")):
        bob = people.sign(other, BOB)
        said = Signed(payload=ann.payload, kid=ann.kid, sig=ann.sig, kid2=bob.kid, sig2=bob.sig)

        assert isinstance(hear(judged, FLEET, said), Rejected)


def test_a_tombstone_of_the_fleet_takes_two_as_well() -> None:
    """What two have stopped, one alone does not clear."""
    judged = gate()
    hear(judged, FLEET, people.cosign(people.sign(stop(), ANN), BOB))
    one = ANN.sign(FLEET, b"")

    assert isinstance(judged.hear(FLEET, None, ANN.kid, one, 0), Rejected)
    assert not runs(judged)
    assert isinstance(
        judged.hear(FLEET, None, ANN.kid, one, 0, BOB.kid, BOB.sign(FLEET, b"")), Changed
    )
    assert runs(judged)


@pytest.mark.parametrize(
    "scope", ["tenant:acme", "class:acme/write", "shared_tool:acme/t", "agent:acme/refunds"]
)
def test_any_other_scope_takes_one(scope: str) -> None:
    """Either person's signature alone, and a second one does no harm."""
    for said in (
        people.sign(stop(scope=scope), BOB),
        people.cosign(people.sign(stop(scope=scope), ANN), BOB),
    ):
        judged = gate()

        assert isinstance(hear(judged, control_key(scope, "human"), said), Changed)
        assert not runs(judged)


def test_control_without_the_rule_one_person_would_stop_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control: with no scope that takes two, the refused command is obeyed."""
    monkeypatch.setattr(people, "TWO_PEOPLE", ())
    judged = gate()

    assert isinstance(hear(judged, FLEET, people.sign(stop(), ANN)), Changed)
    assert not runs(judged)
