"""Publishing agent files: signed, into the inbox that decides, then into the compacted registry.

A file that is in force already, by its digest, is not published again.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.keys import Keys
from ingest.reading import whole
from ingest.records import Registered
from ingest.registry import AgentFile
from ingest.settings import Settings
from ingest.topics import INBOX, PARTITIONS, REGISTRY
from stream.detect.registering import opened, same_version, sealed, unearned
from tracefuse import wire
from tracefuse.errors import ConfigError, TracefuseError
from tracefuse.signing import CommandVerifier


async def in_force(settings: Settings, keys: Keys) -> dict[str, AgentFile]:
    """The newest published file of every agent, by ``tenant/agent``; what nobody signed is none."""
    found: dict[str, AgentFile] = {}
    verifier = CommandVerifier(keys.command_keys)
    async for record in whole(settings.bootstrap, REGISTRY, PARTITIONS):
        key = (record.key or b"").decode(errors="replace")
        kid = wire.header(record.headers, wire.KID).decode(errors="replace")
        sig = wire.header(record.headers, wire.SIG)
        try:
            agent = opened(key, kid, sig, record.value or b"", verifier)
        except ValueError:
            continue
        if key not in found or agent.version >= found[key].version:
            found[key] = agent
    return found


class Unearned(TracefuseError):
    """To the person: only `promote` and `rollout` make what this version contains."""


async def publish(
    settings: Settings, keys: Keys, agents: Iterable[AgentFile], decided: bool = False
) -> int:
    """Bring agent files into force; returns how many were new. Idempotent.

    Parameters
    ----------
    decided
        They bear a decision that was made just now, by `promote`, `rollout` or `rollback`. What people
        write keeps or drops environments and grants, and adds none.

    Raises
    ------
    ConfigError
        To the operator, before anything is sent: a file's version is lower than the one in force, or that one
        with other contents, or no worker would take it.
    Unearned
        To the person, likewise: it adds an environment, or a decision that nobody made; or the decision
        was made on a version that is no longer in force.
    """
    known = await in_force(settings, keys)
    new = [agent for agent in agents if _new(agent, known.get(_key(agent)))]
    for agent in new:
        _earned(agent, known.get(_key(agent)), decided)
        _numbered(agent, known.get(_key(agent)))
    signer, verifier = keys.signer("registry"), keys.verifier()
    facts = [_checked(sealed(agent, signer), verifier) for agent in new]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        await asyncio.gather(*(_send(producer, fact) for fact in facts))
    finally:
        await producer.stop()
    return len(new)


async def _send(producer: AIOKafkaProducer, fact: Registered) -> None:
    key = wire.agent_key(fact.tenant, fact.agent_id)
    partition = wire.partition_of(key)
    # The inbox first: the registry topic tells what the inbox has been told.
    await producer.send_and_wait(
        INBOX, codec.encode(fact), partition=partition,
        headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
    )  # fmt: skip
    await producer.send_and_wait(
        REGISTRY, fact.payload, key=key.encode(), partition=partition,
        headers=[
            (wire.KIND, codec.REGISTRATIONS), (wire.KID, fact.kid.encode()), (wire.SIG, fact.sig),
        ],
    )  # fmt: skip


def _checked(fact: Registered, verifier: CommandVerifier) -> Registered:
    """What a worker would refuse is not sent: the compacted topic would then hold nothing else."""
    key = wire.agent_key(fact.tenant, fact.agent_id)
    try:
        opened(key, fact.kid, fact.sig, fact.payload, verifier)
    except ValueError as error:
        raise ConfigError(f"agent {key}: {error}") from error
    return fact


def _key(agent: AgentFile) -> str:
    return wire.agent_key(agent.tenant, agent.agent)


def _new(agent: AgentFile, known: AgentFile | None) -> bool:
    if known is not None and agent.version < known.version:
        raise ConfigError(
            f"agent {_key(agent)}: version {agent.version} is lower than version"
            f" {known.version}, which is in force; raise `version`"
        )
    return known is None or known.digest != agent.digest


def _numbered(agent: AgentFile, known: AgentFile | None) -> None:
    if known is not None and same_version(known, agent):
        raise ConfigError(
            f"agent {_key(agent)}: version {agent.version} is in force with other contents; raise `version`"
        )


def _earned(agent: AgentFile, known: AgentFile | None, decided: bool) -> None:
    place = unearned(known, agent)
    if place:
        raise Unearned(
            f"agent {_key(agent)}: version {agent.version} adds {place}; only"
            f" `tracefuse promote {_key(agent)} --to {place}` does, once its gate is passed"
        )
    if decided:
        if known is not None and agent.version != known.version + 1:
            raise Unearned(
                f"agent {_key(agent)}: version {known.version} came into force meanwhile; look, and try again"
            )
        return
    if known is None:
        return
    for grant in agent.grants:
        if grant not in known.grants:
            raise Unearned(
                f"agent {_key(agent)}: nobody made the decision {grant.what!r} of {grant.by};"
                " `promote` and `rollout` write `grants`, people don't"
            )
