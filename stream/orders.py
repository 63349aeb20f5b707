"""A person's word: stop this agent, let it try again. Needs the broker alone, no worker.

A stop is written to the control topic first, since SDK and gateway obey it from there directly; then to
the agent's inbox, where its owner mirrors it; then to the log. A release goes the other way: the owner must
have shown that it let go before the person's own record is cleared, so that nothing relaxes unseen.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from ingest import codec
from ingest.keys import Keys
from ingest.records import Ordered
from ingest.settings import Settings
from ingest.topics import CONTROL, CONTROL_LOG, INBOX
from tracefuse import control, wire
from tracefuse.clock import now_us
from tracefuse.control import Command, Reason, State
from tracefuse.errors import ConfigError, TracefuseError
from tracefuse.signing import CommandSigner, CommandVerifier

# What a stop may take before it counts as not given; the broker answers within milliseconds.
SEND_SECONDS = 10.0
# A release needs one hop through a worker, 0.1 s; a restart of one takes a few seconds.
RELEASE_SECONDS = 15.0
_LET_GO = ("half_open", "closed")


class NotReleased(TracefuseError):
    """The scope still stands. To the person at the keyboard: the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest record of one scope and author on the control topic."""

    command: Command
    at: int  # the broker's time, ms


def addressee(scope: str) -> tuple[str, str]:
    """Tenant and agent of a scope. Raises `ConfigError` to the person for one that is wider.

    >>> addressee("tool:acme/refunds/crm.refund")
    ('acme', 'refunds')
    """
    kind, _, rest = scope.partition(":")
    parts = rest.split("/")
    if kind not in ("agent", "run", "tool") or len(parts) < (2 if kind == "agent" else 3):
        raise ConfigError(
            f"scope {scope!r}: give agent:TENANT/AGENT, tool:TENANT/AGENT/TOOL or"
            " run:TENANT/AGENT/TRACE; wider scopes are not for one person"
        )
    if not all(parts[:3]) or (kind == "agent" and len(parts) > 2):
        raise ConfigError(f"scope {scope!r}: tenant, agent, tool or trace is empty or has a slash")
    return parts[0], parts[1]


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


async def force(
    settings: Settings, keys: Keys, scope: str, reason: str, cmd_id: str = ""
) -> Command:
    """Stop a scope; returns once all three records are safe.

    A stop that was cut short is repeated with its `cmd_id`: its owner takes it once.

    Raises
    ------
    ConfigError
        To the person, when the scope is none.
    aiokafka.errors.KafkaError, TimeoutError
        To the person, when the broker does not answer. The scope may be stopped already.
    """
    addressee(scope)
    stop = command(scope, "forced_open", reason, now_us(), cmd_id)
    async with asyncio.timeout(SEND_SECONDS), _Desk(settings, keys) as desk:
        await desk.control(stop)
        await desk.inbox(stop)
        await desk.log(stop)
    return stop


async def release(
    settings: Settings, keys: Keys, scope: str, reason: str, timeout: float = RELEASE_SECONDS
) -> Command:
    """Let a scope try again; returns once its owner has let go and no person's record stands.

    Raises
    ------
    NotReleased
        To the person: nothing to release, or no worker answered within `timeout` seconds.
    """
    addressee(scope)
    async with _Desk(settings, keys) as desk, _Reader(settings, keys, scope) as reader:
        async with asyncio.timeout(SEND_SECONDS):
            await reader.catch_up()
            human, auto = reader.standing("human"), reader.standing("auto")
            if not _stops(human) and not _stops(auto):
                raise NotReleased(f"{scope} is not stopped: there is nothing to release")
            wish = command(scope, "half_open", reason, now_us())
            offset = await desk.inbox(wish)
        deadline = time.monotonic() + timeout
        while not _let_go(reader.standing("auto"), human, offset):
            if not await reader.follow(deadline - time.monotonic()):
                raise NotReleased(
                    f"{scope} is still stopped: no worker has let go within {timeout:.0f} s. The"
                    " release waits in the agent's inbox; start the workers and release once more"
                )
        async with asyncio.timeout(SEND_SECONDS):
            await desk.log(wish)  # not before: the log must not tell of a release that failed
            if _stops(human):
                cleared = command(scope, "closed", reason, now_us(), f"{wish.cmd_id}-cleared")
                await desk.control(cleared)
                await desk.log(cleared)
    return wish


def _stops(standing: Standing | None) -> bool:
    return standing is not None and standing.command.state in ("open", "forced_open")


def _let_go(auto: Standing | None, human: Standing | None, offset: int) -> bool:
    """Whether the owner's record is an answer: computed from the release, or younger than the stop."""
    if auto is None or auto.command.state not in _LET_GO:
        return False
    if auto.command.src is not None and auto.command.src[2] >= offset:
        return True
    return human is not None and _stops(human) and auto.at >= human.at


def sealed(command: Command, signer: CommandSigner) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """Control key, payload and headers of a command."""
    key = control.control_key(command.scope, command.author)
    payload = control.encode(command)
    headers = [
        (wire.KIND, codec.COMMANDS),
        (wire.KID, signer.kid.encode()),
        (wire.SIG, signer.sign(key, payload)),
    ]
    return key, payload, headers


class _Desk:
    """Writes a person's records, each safe before the next."""

    def __init__(self, settings: Settings, keys: Keys):
        self._signer = keys.signer("human")
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

    async def control(self, order: Command) -> None:
        key, payload, headers = sealed(order, self._signer)
        place = control.partition_of_scope(order.scope)
        await self._send(CONTROL, place, key, payload, headers)

    async def log(self, order: Command) -> None:
        _, payload, headers = sealed(order, self._signer)
        place = wire.partition_of(order.scope)
        await self._send(CONTROL_LOG, place, order.scope, payload, headers)

    async def inbox(self, order: Command) -> int:
        """Offset of the record in the agent's inbox."""
        tenant, agent_id = addressee(order.scope)
        key, payload, _ = sealed(order, self._signer)
        fact = Ordered(
            record_id=order.cmd_id,
            tenant=tenant,
            agent_id=agent_id,
            kid=self._signer.kid,
            sig=self._signer.sign(key, payload),
            payload=payload,
        )
        whose = wire.agent_key(tenant, agent_id)
        headers = [(wire.KIND, codec.INBOX)]
        return await self._send(INBOX, wire.partition_of(whose), whose, codec.encode(fact), headers)

    async def _send(
        self, topic: str, place: int, key: str, value: bytes, headers: list[tuple[str, bytes]]
    ) -> int:
        sent = await self._producer.send_and_wait(
            topic, value, key.encode(), partition=place, headers=headers
        )
        return int(sent.offset)


class _Reader:
    """Follows the two control records of one scope; forged ones count for nothing."""

    def __init__(self, settings: Settings, keys: Keys, scope: str):
        self._names = {
            control.control_key(scope, author).encode(): author for author in ("auto", "human")
        }
        self._place = control.partition_of_scope(scope)
        self._verifier = CommandVerifier(keys.command_keys)
        self._found: dict[str, Standing] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap, enable_auto_commit=False
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()  # the client leaks its connections otherwise
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def standing(self, author: str) -> Standing | None:
        return self._found.get(author)

    async def catch_up(self) -> None:
        """Read what is there now."""
        partitions = [TopicPartition(CONTROL, self._place)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        ends = await self._consumer.end_offsets(partitions)
        for partition, end in ends.items():
            while await self._consumer.position(partition) < end:
                await self._take(200)

    async def follow(self, seconds: float) -> bool:
        """Wait for more; false when the time is over."""
        if seconds <= 0:
            return False
        await self._take(min(200, int(seconds * 1000) + 1))
        return True

    async def _take(self, timeout_ms: int) -> None:
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                if record.key in self._names:
                    self._judge(self._names[record.key], record)

    def _judge(self, author: str, record: ConsumerRecord) -> None:
        if record.value is None:
            self._found.pop(author, None)
            return
        kid = wire.header(record.headers, wire.KID).decode(errors="replace")
        sig = wire.header(record.headers, wire.SIG)
        if not kid.startswith(f"{author}/"):
            return
        if self._verifier.verify(kid, record.key.decode(), record.value, sig):
            try:
                self._found[author] = Standing(control.decode(record.value), record.timestamp)
            except msgspec.MsgspecError:
                return
