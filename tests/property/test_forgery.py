"""One byte of what is signed, changed 10,000 times at random: nothing of it is accepted (F22)."""

from collections.abc import Callable
from random import Random

import pytest

from ingest import codec
from ingest.records import Decided, Decision, IncidentReview, IncidentReviewed, Review, Reviewed
from stream.agent.agreements import Alarm, Pending, Sampling
from stream.detect import judging, reviewing
from stream.detect.registering import opened, sealed
from stream.holding import approving
from stream.stopping import wide
from tests.pipe import AUTO, HUMAN, REGISTRY, START, file
from tracefuse import life, people
from tracefuse.control import Command, Reason, control_key, encode
from tracefuse.gate import Changed, Gate
from tracefuse.people import Signed
from tracefuse.signing import CommandSigner, CommandVerifier

CHANGES = 10_000
SECOND = CommandSigner("human/second/1", b"s" * 32)
VERIFIER = CommandVerifier({s.kid: s.public for s in (HUMAN, SECOND, AUTO, REGISTRY)})

Parts = list[bytes]  # of a record: key, key id, signature, payload and what else is signed
Accepts = Callable[[Parts], bool]


def text(part: bytes) -> str:
    return part.decode(errors="replace")


def command(scope: str, author: str) -> Command:
    return Command(
        cmd_id="c-1", scope=scope, author=author, action="open", state="forced_open", epoch=7,  # type: ignore[arg-type]
        reason=Reason("human", "seen it lie"),
    )  # fmt: skip


def at_the_gate(parts: Parts) -> bool:
    key, kid, sig, payload, kid2, sig2 = parts
    gate = Gate("acme", "refunds", VERIFIER)
    outcome = gate.hear(text(key), payload, text(kid), sig, 0, text(kid2), sig2)
    return isinstance(outcome, Changed)


def of_a_person(scope: str) -> Parts:
    said = people.cosign(people.sign(command(scope, "human"), HUMAN), SECOND)
    two = scope in people.TWO_PEOPLE
    proof = [said.kid2.encode(), said.sig2] if two else [b"", b""]
    return [control_key(scope, "human").encode(), said.kid.encode(), said.sig, said.payload, *proof]


def of_a_worker() -> Parts:
    key, payload = (
        control_key("agent:acme/refunds", "auto"),
        encode(command("agent:acme/refunds", "auto")),
    )
    return [key.encode(), AUTO.kid.encode(), AUTO.sign(key, payload), payload, b"", b""]


def by_correlate(parts: Parts) -> bool:
    kid, sig, payload, kid2, sig2 = parts  # the key of its record is no part of it
    said = Signed(payload=payload, kid=text(kid), sig=sig, kid2=text(kid2), sig2=sig2)
    return wide.order(said, VERIFIER, START) is not None


def of_a_file() -> Parts:
    fact = sealed(file(), REGISTRY)
    return [b"acme/refunds", fact.kid.encode(), fact.sig, fact.payload]


def by_the_owner(parts: Parts) -> bool:
    key, kid, sig, payload = parts
    try:
        opened(text(key), text(kid), sig, payload, VERIFIER)
    except ValueError:
        return False
    return True


def of_a_life() -> Parts:
    payload, sig = life.sealed(6, 1, 1_000_000, AUTO)
    return [life.key_of(6).encode(), AUTO.kid.encode(), sig, payload]


def by_the_watch(parts: Parts) -> bool:
    key, kid, sig, payload = parts
    watch = life.Life("acme", "refunds", VERIFIER)
    watch.begin(0.0)
    watch.hear(text(key), payload, text(kid), sig, 0, 50.0)
    return not watch.silent(61.0)


def of_an_approval() -> Parts:
    said = Decision(approval_id="a-1", tool="crm.pay", args_hash="h", approved=True, by="ann")
    key, payload = approving.record_key("a-1"), codec.encode(said)
    return [b"a-1", HUMAN.kid.encode(), HUMAN.sign(key, payload), payload]


def by_who_waits(parts: Parts) -> bool:
    name, kid, sig, payload = parts
    one = Pending(
        approval_id=text(name), tool="crm.pay", args_hash="h", trace_id="t", call_id="c",
        requester="carl", approvers=(), expires=START, escalates=START, reply_to="b", kid="k",
    )  # fmt: skip
    fact = Decided(
        record_id="d", tenant="acme", agent_id="refunds", approval_id=text(name), kid=text(kid),
        sig=sig, payload=payload,
    )  # fmt: skip
    return isinstance(approving.decide(one, fact, VERIFIER, START), Decision)


def of_a_label() -> Parts:
    said = Review(
        trace_id="t", call_id="c", tool="crm.pay", args_hash="h", label="wrong", by="ann", at=1
    )
    key, payload = reviewing.record_key("acme", "refunds", "t", "c"), codec.encode(said)
    return [b"c", HUMAN.kid.encode(), HUMAN.sign(key, payload), payload]


def by_the_judged(parts: Parts) -> bool:
    call, kid, sig, payload = parts
    one = Sampling("t", text(call), "crm.pay", "h", "carl")
    fact = Reviewed(
        record_id="r", tenant="acme", agent_id="refunds", trace_id="t", call_id=text(call),
        kid=text(kid), sig=sig, payload=payload,
    )  # fmt: skip
    return isinstance(reviewing.judge(one, fact, VERIFIER), Review)


def of_a_word() -> Parts:
    said = IncidentReview(
        incident_id="inc-1", signal_id="s", detector="exact_loop", label="real", by="ann",
        reason="why", at=1,
    )  # fmt: skip
    key, payload = judging.record_key("acme", "refunds", "inc-1"), codec.encode(said)
    return [b"inc-1", HUMAN.kid.encode(), HUMAN.sign(key, payload), payload]


def by_the_alarmed(parts: Parts) -> bool:
    incident, kid, sig, payload = parts
    fact = IncidentReviewed(
        record_id="r", tenant="acme", agent_id="refunds", incident_id=text(incident), kid=text(kid),
        sig=sig, payload=payload,
    )  # fmt: skip
    return isinstance(judging.judge({"s": Alarm("exact_loop")}, fact, VERIFIER), IncidentReview)


RECORDS: dict[str, tuple[Parts, Accepts]] = {
    "a person's command": (of_a_person("agent:acme/refunds"), at_the_gate),
    "two people's command": (of_a_person("fleet"), at_the_gate),
    "a worker's command": (of_a_worker(), at_the_gate),
    "an order to correlate": (of_a_person("fleet")[1:], by_correlate),
    "an approval": (of_an_approval(), by_who_waits),
    "a label": (of_a_label(), by_the_judged),
    "a word on an incident": (of_a_word(), by_the_alarmed),
    "an agent's file": (of_a_file(), by_the_owner),
    "a sign of life": (of_a_life(), by_the_watch),
}


def changed(parts: Parts, chance: Random) -> Parts:
    """The record with one byte of it, anywhere, made another."""
    place = chance.randrange(sum(map(len, parts)))
    found = []
    for part in parts:
        if 0 <= place < len(part):
            flipped = part[place] ^ chance.randrange(1, 256)
            part = part[:place] + bytes([flipped]) + part[place + 1 :]
        place -= len(part)
        found.append(part)
    return found


@pytest.mark.parametrize("name", RECORDS)
def test_no_byte_can_be_changed(name: str) -> None:
    """Payload, signature, key id or record key: none of 10,000 changes is accepted."""
    parts, accepts = RECORDS[name]
    chance = Random(name)
    accepted = []
    for _ in range(CHANGES):
        forged = changed(parts, chance)
        assert forged != parts
        if accepts(forged):
            accepted.append(forged)

    assert accepted == []


@pytest.mark.parametrize("name", RECORDS)
def test_control_unchanged_it_is_accepted(name: str) -> None:
    """Control: the same bytes without a change count."""
    parts, accepts = RECORDS[name]

    assert accepts(parts)


@pytest.mark.parametrize("name", RECORDS)
def test_control_without_the_signature_changes_are_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a verifier that believes everything accepts some of the same changes."""
    monkeypatch.setattr(CommandVerifier, "verify", lambda *_: True)
    monkeypatch.setattr(CommandVerifier, "same", lambda *_: False)
    parts, accepts = RECORDS[name]
    chance = Random(name)

    assert any(accepts(changed(parts, chance)) for _ in range(1000))
