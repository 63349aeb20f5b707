"""A person answers a call that waits. Needs the broker; the worker that owns the agent decides what counts.

tracefuse approvals list ◄── agent.approvals.v1 ◄── worker
tracefuse approve ID ──► agent.inbox.v1, signed ──► worker
"""

import asyncio
import time

import msgspec
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.keys import Keys
from ingest.reading import whole
from ingest.records import Decided, Decision, Outcome, Wanted
from ingest.settings import Settings
from ingest.topics import APPROVALS, INBOX, PARTITIONS
from stream.holding.approving import record_key
from tracefuse import wire
from tracefuse.clock import now_us
from tracefuse.errors import TracefuseError

SEND_SECONDS = 10.0
# One hop through a worker takes 0.1 s; a restart of one a few seconds.
ANSWER_SECONDS = 15.0
CLOCKS_SECONDS = 60.0  # by which this clock and the broker's may differ
# No request waits for longer than a week (`Expiry` in `ingest/agent_parts.py`); the log holds half a year.
WAITS_SECONDS = 604_800.0 + CLOCKS_SECONDS
_decode = msgspec.json.Decoder(Wanted | Outcome).decode


class NotWaiting(TracefuseError):
    """Nothing waits under this id. To the person at the keyboard."""


class NotTaken(TracefuseError):
    """The answer did not count, or no worker has taken it yet. To the person: the text says which."""


async def records(
    settings: Settings, seconds: float = WAITS_SECONDS
) -> tuple[dict[str, Wanted], dict[str, Outcome]]:
    """Requests and outcomes of the last so many seconds, by approval id."""
    asked: dict[str, Wanted] = {}
    ended: dict[str, Outcome] = {}
    since_ms = now_us() // 1000 - int(seconds * 1000)
    async for record in whole(settings.bootstrap, APPROVALS, PARTITIONS, since_ms):
        for line in codec.lines(record.value):
            _take(line, asked, ended)
    return asked, ended


def _take(line: bytes, asked: dict[str, Wanted], ended: dict[str, Outcome]) -> None:
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # somebody wrote what is none; it asks for nothing
    if isinstance(found, Wanted):
        asked.setdefault(found.approval_id, found)
    else:
        ended.setdefault(found.approval_id, found)


async def waiting(settings: Settings, now: float) -> list[Wanted]:
    """Requests without an outcome at `now` (s, UTC), the most urgent first."""
    asked, ended = await records(settings)
    open_ones = [one for one in asked.values() if one.approval_id not in ended]
    return sorted(
        (one for one in open_ones if one.expires_at > now), key=lambda one: one.expires_at
    )


async def answer(
    settings: Settings, keys: Keys, approval_id: str, approved: bool, by: str, reason: str = ""
) -> Outcome:
    """Sign an answer and send it; returns once the agent's owner has taken it.

    Raises
    ------
    NotWaiting
        To the person: nobody asked, or it was answered already.
    NotTaken
        To the person: it did not count (who may decide?), or no worker runs.
    """
    asked, ended = await records(settings)
    one = asked.get(approval_id)
    if one is None:
        raise NotWaiting(f"{approval_id}: nothing waits under this id")
    if approval_id in ended:
        raise NotWaiting(f"{approval_id} is {ended[approval_id].outcome} already")
    if one.approvers and by not in one.approvers:
        raise NotTaken(f"{by} may not decide this; {', '.join(one.approvers)} may")
    if by == one.user_id:
        raise NotTaken("who asked may not decide")
    await _send(settings, decided(keys, one, approved, by, reason))
    return await _taken(settings, approval_id)


def decided(keys: Keys, one: Wanted, approved: bool, by: str, reason: str) -> Decided:
    """The signed answer as it enters the agent's inbox."""
    decision = Decision(
        approval_id=one.approval_id, tool=one.tool, args_hash=one.args_hash, approved=approved,
        by=by, reason=reason, at=now_us(),
    )  # fmt: skip
    payload, signer = codec.encode(decision), keys.signer("human")
    return Decided(
        record_id=f"{one.approval_id}@{decision.at}", tenant=one.tenant, agent_id=one.agent_id,
        approval_id=one.approval_id, kid=signer.kid,
        sig=signer.sign(record_key(one.approval_id), payload), payload=payload,
    )  # fmt: skip


async def _send(settings: Settings, fact: Decided) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    async with asyncio.timeout(SEND_SECONDS), producer:
        await producer.send_and_wait(
            INBOX, codec.encode(fact),
            partition=wire.partition_of(wire.agent_key(fact.tenant, fact.agent_id)),
            headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
        )  # fmt: skip


async def _taken(settings: Settings, approval_id: str) -> Outcome:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        _, ended = await records(settings, ANSWER_SECONDS + CLOCKS_SECONDS)
        if approval_id in ended:
            return ended[approval_id]
        await asyncio.sleep(0.2)
    raise NotTaken(
        f"no worker has taken the answer to {approval_id} within {ANSWER_SECONDS:.0f} s. It waits in the"
        " agent's inbox, or did not count, as a signal of the detector `approval` then says; `tracefuse"
        " status` tells whether workers run"
    )
