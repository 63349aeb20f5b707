"""A person's word: stop this scope, let it try again. Needs the broker alone, no worker.

A stop is written to the control topic first, since SDK and gateway obey it from there directly; then to
the scope's owner (the agent's inbox, or correlate's topic), which mirrors it; then to the log. A release
goes the other way: the owner must have shown that it let go before the person's own record is cleared, so
that nothing relaxes unseen.
"""

import asyncio
import time
from typing import Self

import msgspec
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.keys import Keys
from ingest.records import Ordered
from ingest.settings import Settings
from ingest.topics import CONTROL, CONTROL_LOG, FLEET
from stream.people.scopes import place
from stream.people.standing import Reader, Standing
from tracefuse import control, people, wire
from tracefuse.clock import now_us
from tracefuse.control import Command, Reason, State
from tracefuse.errors import ConfigError, TracefuseError
from tracefuse.people import Signed
from tracefuse.signing import CommandSigner

# What a stop may take before it counts as not given; the broker answers within milliseconds.
SEND_SECONDS = 10.0
# A release needs one hop through a worker, 0.1 s; a restart of one takes a few seconds.
RELEASE_SECONDS = 15.0
# What nobody has carried out by then is asked anew.
RELEASE_US = 3_600_000_000
_LET_GO = ("half_open", "closed")


class NotReleased(TracefuseError):
    """The scope still stands. To the person at the keyboard: the text says why, and what to do."""


def command(scope: str, state: State, reason: str, now: int, cmd_id: str = "") -> Command:
    """A person's command. `now` (µs) is its epoch: people have no offsets."""
    return Command(
        cmd_id=cmd_id or f"human-{now}",
        scope=scope,
        author="human",
        action="open" if state == "forced_open" else "log",
        state=state,
        epoch=now,
        issued_at=now,
        reason=Reason(rule="human", text=reason),
    )


def stop(scope: str, reason: str, cmd_id: str = "") -> Command:
    """A person's stop. Raises `ConfigError` to the person, when the scope is none."""
    place(scope)
    return command(scope, "forced_open", reason, now_us(), cmd_id)


def wishes(scope: str, reason: str) -> tuple[Command, Command]:
    """A person's release: what the owner is asked, and what then clears the person's own stop."""
    place(scope)
    now = now_us()
    wish = command(scope, "half_open", reason, now)
    wish = msgspec.structs.replace(wish, expires_at=now + RELEASE_US)
    return wish, command(scope, "closed", reason, now + 1, f"{wish.cmd_id}-cleared")


async def force(
    settings: Settings, keys: Keys, scope: str, reason: str, cmd_id: str = ""
) -> Command:
    """Stop a scope; returns once all three records are safe.

    A stop that was cut short is repeated with its `cmd_id`: its owner takes it once.

    Raises
    ------
    ConfigError
        To the person, when the scope is none, or takes two people.
    aiokafka.errors.KafkaError, TimeoutError
        To the person, when the broker does not answer. The scope may be stopped already.
    """
    said = _alone(people.sign(stop(scope, reason, cmd_id), keys.signer("human")), scope)
    await enforce(settings, said)
    return control.decode(said.payload)


async def enforce(settings: Settings, said: Signed) -> None:
    """Stop what a signed command names: first the record that gates obey, then its owner, then the log."""
    async with asyncio.timeout(SEND_SECONDS), _Desk(settings) as desk:
        await desk.control(said)
        await desk.owner(said)
        await desk.log(said)


async def release(
    settings: Settings, keys: Keys, scope: str, reason: str, timeout: float = RELEASE_SECONDS
) -> Command:
    """Let a scope try again; returns once its owner has let go and no person's record stands.

    Raises
    ------
    ConfigError
        To the person, when the scope is none, or takes two people.
    NotReleased
        To the person: nothing to release, or no worker answered within `timeout` seconds.
    """
    wish, cleared = (
        _alone(people.sign(one, keys.signer("human")), scope) for one in wishes(scope, reason)
    )
    return await relax(settings, keys, wish, cleared, timeout)


async def relax(
    settings: Settings, keys: Keys, wish: Signed, cleared: Signed, timeout: float = RELEASE_SECONDS
) -> Command:
    """Release by two signed commands: asks the owner, waits until it let go, clears the person's record."""
    asked = control.decode(wish.payload)
    scope = asked.scope
    async with _Desk(settings) as desk, Reader(settings, keys, scope) as reader:
        async with asyncio.timeout(SEND_SECONDS):
            await reader.catch_up()
            human, auto = reader.standing("human"), reader.standing("auto")
            if not _stops(human) and not _stops(auto):
                raise NotReleased(f"{scope} is not stopped: there is nothing to release")
            _not_overtaken(asked, human)
            offset = await desk.owner(wish)
        deadline = time.monotonic() + timeout
        while not _let_go(reader.standing("auto"), human, offset):
            if not await reader.follow(deadline - time.monotonic()):
                raise NotReleased(_words(scope, timeout))
        human = reader.standing("human")
        _not_overtaken(asked, human)
        async with asyncio.timeout(SEND_SECONDS):
            await desk.log(wish)  # not before: the log must not tell of a release that failed
            if _stops(human):
                await desk.control(cleared)
                await desk.log(cleared)
    return asked


def _alone(said: Signed, scope: str) -> Signed:
    if scope in people.TWO_PEOPLE:
        raise ConfigError(
            f"scope {scope!r} takes two people: write a request, and let another sign"
        )
    return said


def _words(scope: str, timeout: float) -> str:
    wide = place(scope).topic == FLEET
    who, where = (
        ("correlate has not", "in its topic") if wide else ("no worker has", "in the agent's inbox")
    )
    start = "correlate" if wide else "the workers"
    return (
        f"{scope} is still stopped: {who} let go within {timeout:.0f} s. The release waits {where};"
        f" start {start} and release once more"
    )


def _stops(standing: Standing | None) -> bool:
    return standing is not None and standing.command.state in ("open", "forced_open")


def _not_overtaken(asked: Command, human: Standing | None) -> None:
    """Raises `NotReleased` where somebody has stopped the scope after this release was signed."""
    if human is not None and _stops(human) and human.command.epoch > asked.epoch:
        raise NotReleased(f"{asked.scope} was stopped again meanwhile, by {human.command.cmd_id}")


def _let_go(auto: Standing | None, human: Standing | None, offset: int) -> bool:
    """Whether the owner's record is an answer: computed from the release, or younger than the stop."""
    if auto is None or auto.command.state not in _LET_GO:
        return False
    if auto.command.src is not None and auto.command.src[2] >= offset:
        return True
    return human is not None and _stops(human) and auto.at >= human.at


def sealed(command: Command, signer: CommandSigner) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """Control key, payload and headers of a command by one author."""
    said = people.sign(command, signer)
    return control.control_key(command.scope, command.author), said.payload, _headers(said)


def _headers(said: Signed) -> list[tuple[str, bytes]]:
    headers = [(wire.KIND, codec.COMMANDS), (wire.KID, said.kid.encode()), (wire.SIG, said.sig)]
    if said.kid2:
        headers += [(wire.KID2, said.kid2.encode()), (wire.SIG2, said.sig2)]
    return headers


class _Desk:
    """Writes a person's records, each safe before the next."""

    def __init__(self, settings: Settings):
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
        )

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()  # the client leaks its connections otherwise
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def control(self, said: Signed) -> None:
        order = control.decode(said.payload)
        key = control.control_key(order.scope, order.author)
        number = control.partition_of_scope(order.scope)
        await self._send(CONTROL, number, key, said.payload, _headers(said))

    async def log(self, said: Signed) -> None:
        scope = control.decode(said.payload).scope
        await self._send(CONTROL_LOG, wire.partition_of(scope), scope, said.payload, _headers(said))

    async def owner(self, said: Signed) -> int:
        """Offset of the record where the scope's owner reads: the agent's inbox, or correlate's topic."""
        order = control.decode(said.payload)
        topic, partition, key, tenant, agent_id = place(order.scope)
        if topic == FLEET:
            headers = [(wire.KIND, codec.ORDERS)]
            return await self._send(topic, partition, key, codec.encode(said), headers)
        fact = Ordered(
            record_id=order.cmd_id,
            tenant=tenant,
            agent_id=agent_id,
            kid=said.kid,
            sig=said.sig,
            payload=said.payload,
        )
        headers = [(wire.KIND, codec.INBOX)]
        return await self._send(topic, partition, key, codec.encode(fact), headers)

    async def _send(
        self, topic: str, place: int, key: str, value: bytes, headers: list[tuple[str, bytes]]
    ) -> int:
        sent = await self._producer.send_and_wait(
            topic, value, key.encode(), partition=place, headers=headers
        )
        return int(sent.offset)
