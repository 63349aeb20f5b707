"""Publishing agent files: signed, into the inbox that decides, then into the compacted registry.

A file that is in force already, by its digest, is not published again.
"""

from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.keys import Keys
from ingest.reading import whole
from ingest.registry import AgentFile
from ingest.settings import Settings
from ingest.topics import INBOX, PARTITIONS, REGISTRY
from stream.registering import opened, sealed
from tracefuse import wire
from tracefuse.errors import ConfigError
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


async def publish(settings: Settings, keys: Keys, agents: Iterable[AgentFile]) -> int:
    """Bring agent files into force; returns how many were new. Idempotent.

    Raises
    ------
    ConfigError
        To the operator, before anything is sent: a file's version is lower than the one in force.
    """
    known = await in_force(settings, keys)
    new = [agent for agent in agents if _new(agent, known.get(_key(agent)))]
    signer = keys.signer("registry")
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        for agent in new:
            key, fact = _key(agent), sealed(agent, signer)
            partition = wire.partition_of(key)
            # The inbox first: the registry topic tells what the inbox has been told.
            await producer.send_and_wait(
                INBOX, codec.encode(fact), partition=partition,
                headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
            )  # fmt: skip
            await producer.send_and_wait(
                REGISTRY, fact.payload, key=key.encode(), partition=partition,
                headers=[
                    (wire.KIND, codec.REGISTRATIONS), (wire.KID, fact.kid.encode()),
                    (wire.SIG, fact.sig),
                ],
            )  # fmt: skip
    finally:
        await producer.stop()
    return len(new)


def _key(agent: AgentFile) -> str:
    return wire.agent_key(agent.tenant, agent.agent)


def _new(agent: AgentFile, known: AgentFile | None) -> bool:
    if known is not None and agent.version < known.version:
        raise ConfigError(
            f"agent {_key(agent)}: version {agent.version} is lower than version"
            f" {known.version}, which is in force; raise `version`"
        )
    return known is None or known.digest != agent.digest
