"""F22: forged, replayed, stale and misplaced commands on the real control topic move no running agent."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

import tracefuse
from ingest.broker import Broker
from ingest.keys import Keys, create
from ingest.provision import provision
from ingest.settings import Settings
from tests.reading import lines, read
from tracefuse import wire
from tracefuse.clock import monotonic, now_us
from tracefuse.control import (
    Command,
    Reason,
    State,
    agent_scope,
    control_key,
    encode,
    partition_of_scope,
)
from tracefuse.errors import CircuitOpen
from tracefuse.gate import SKEW_US
from tracefuse.signing import CommandSigner, CommandVerifier

pytestmark = pytest.mark.kafka

AGENT, OTHER = agent_scope("acme", "refunds"), agent_scope("acme", "other")
KEY = control_key(AGENT, "auto")
NEWEST = (5, 50)  # term and epoch of the last true word, a stop


class Forged(NamedTuple):
    """One record of the control topic, and why it must count for nothing."""

    reason: str  # as the gate counts it; empty where it does not even look
    key: str
    value: bytes
    kid: str
    sig: bytes


def command(state: State, term: int, epoch: int, scope: str = AGENT, **more: object) -> Command:
    return Command(
        cmd_id=f"c-{term}-{epoch}", scope=scope, author="auto", action="log", state=state, term=term,
        epoch=epoch, reason=Reason("r"), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def attacks(keys: Keys) -> Iterator[Forged]:
    """Every way to let the stopped agent go on without the right to it."""
    ours, person = keys.signer("auto"), keys.signer("human")
    free = encode(command("closed", 9, 99))

    def by(signer: CommandSigner, value: bytes, key: str = KEY) -> tuple[str, bytes, str, bytes]:
        return key, value, signer.kid, signer.sign(key, value)

    _, _, kid, sig = by(ours, free)
    stranger = CommandSigner(ours.kid, b"x" * 32)
    yield Forged("author", KEY, free, "", b"")
    yield Forged("signature", KEY, free, kid, b"")
    yield Forged("signature", KEY, free, "auto/9", sig)
    yield Forged("signature", *by(stranger, free))
    yield Forged("author", *by(person, free))
    yield Forged("author", *by(keys.signer("registry"), free))
    edited = encode(command("closed", 9, 98))
    yield Forged("signature", KEY, edited, kid, sig)
    doubled = free.replace(b'"state":"closed"', b'"state":"open","state":"closed"')
    spaced = msgspec.json.format(free)
    assert msgspec.json.decode(spaced) == msgspec.json.decode(free)
    for foreign in (doubled, spaced, free + b" "):
        yield Forged("signature", KEY, foreign, kid, sig)
    yield Forged("stale", *by(ours, encode(command("closed", 4, 99))))
    yield Forged("stale", *by(ours, encode(command("closed", 5, 49))))
    yield Forged("conflict", *by(ours, encode(command("closed", *NEWEST))))
    past = now_us() - SKEW_US - 1_000_000
    yield Forged("expired", *by(ours, encode(command("closed", 9, 99, expires_at=past))))
    yield Forged("version", *by(ours, encode(command("closed", 9, 99, v=2))))
    moved = encode(command("closed", 9, 99, scope=OTHER))
    yield Forged("scope", *by(ours, moved))
    yield Forged("signature", KEY, moved, ours.kid, ours.sign(control_key(OTHER, "auto"), moved))
    yield Forged("", *by(ours, moved, control_key(OTHER, "auto")))
    human = control_key(AGENT, "human")
    yield Forged("author", *by(ours, free, human))
    yield Forged("scope", *by(person, free, human))


@pytest.fixture
def place(fresh_broker: Broker, tmp_path: Path) -> tuple[Settings, Keys, tracefuse.Fuse]:
    """A running agent."""
    settings = Settings(bootstrap=fresh_broker.bootstrap)
    asyncio.run(provision(settings))
    keys = create(tmp_path / "keys")
    fuse = tracefuse.init(
        bootstrap=settings.bootstrap, credential=keys.credential("acme", "refunds")
    )
    until(lambda: fuse.gate.ready, "no snapshot")
    return settings, keys, fuse


def until(condition: Callable[[], object], what: str) -> None:
    deadline = monotonic() + 20.0
    while not condition():
        assert monotonic() < deadline, what
        time.sleep(0.01)


async def send(settings: Settings, forged: list[Forged]) -> None:
    """All of them into the partition where the agent listens."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
        for one in forged:
            headers = [(wire.KID, one.kid.encode()), (wire.SIG, one.sig)]
            await producer.send_and_wait(
                wire.CONTROL, one.value, one.key.encode(),
                partition=partition_of_scope(AGENT), headers=headers,
            )  # fmt: skip


def true_word(keys: Keys, state: State, term: int, epoch: int) -> Forged:
    signer, value = keys.signer("auto"), encode(command(state, term, epoch))
    return Forged("", KEY, value, signer.kid, signer.sign(KEY, value))


def runs(fuse: tracefuse.Fuse) -> bool:
    try:
        fuse.check("0" * 32, "crm.refund")
    except CircuitOpen:
        return False
    return True


def play(settings: Settings, keys: Keys, fuse: tracefuse.Fuse) -> list[Forged]:
    """A true stop, all attacks, the stop once more and a true word that ends the reading."""
    stop, forged = true_word(keys, "open", *NEWEST), list(attacks(keys))
    asyncio.run(send(settings, [stop, *forged, stop, true_word(keys, "open", 5, 51)]))
    until(lambda: fuse.gate.seen("0" * 32, "") == {AGENT: (5, 51)}, "the last word was not heard")
    return forged


def test_no_forged_command_moves_the_agent(
    place: tuple[Settings, Keys, tracefuse.Fuse],
) -> None:
    """Each is refused for its reason and reported; only the two true words come into force."""
    settings, keys, fuse = place
    forged = play(settings, keys, fuse)
    expected: dict[str, int] = {}
    for one in forged:
        if one.reason:
            expected[one.reason] = expected.get(one.reason, 0) + 1

    assert not runs(fuse)
    assert fuse.gate.rejected == expected
    assert [change.command.epoch for change in fuse.changes] == [50, 51]
    fuse.close()
    told = [event for _, event in lines(asyncio.run(read(settings.bootstrap, wire.EVENTS)))]
    reported = {e.attrs["reason"] for e in told if e.name == "x.control_rejected"}
    assert reported == set(expected)


def test_control_without_the_checks_they_would_free_it(
    place: tuple[Settings, Keys, tracefuse.Fuse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: where every signature is believed, the same records let the stopped agent run."""
    settings, keys, fuse = place
    monkeypatch.setattr(CommandVerifier, "verify", lambda *_: True)
    asyncio.run(send(settings, [true_word(keys, "open", *NEWEST)]))
    until(lambda: not runs(fuse), "the stop was not heard")
    asyncio.run(send(settings, list(attacks(keys))))

    until(lambda: runs(fuse), "nothing freed it")
    fuse.close()
