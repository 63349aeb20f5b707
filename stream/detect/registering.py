"""Whether a version of an agent's file comes into force: signed, whole, not older, and earned. Pure.

The inbox decides, so this is the only gate that counts; what the command line checked before is a courtesy.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from ingest import codec
from ingest.agent_check import sense, spelt
from ingest.agent_file import AgentFile
from ingest.records import InForce, Registered, Src
from stream import sentences
from stream.detect.granting import environment
from tracefuse import wire
from tracefuse.signing import CommandSigner, CommandVerifier

if TYPE_CHECKING:
    # With it come all detectors: a second in which a rollback would wait for its own imports.
    from stream.agent.agent_state import AgentState

AUTHOR = "registry/"  # of key ids
_decode = msgspec.json.Decoder(AgentFile).decode


def sealed(agent: AgentFile, signer: CommandSigner) -> Registered:
    """The fact that brings a file into force, signed together with the key of its record."""
    key, payload = wire.agent_key(agent.tenant, agent.agent), codec.encode(agent)
    return Registered(
        record_id=f"{key}@{agent.version}:{agent.digest}",
        tenant=agent.tenant,
        agent_id=agent.agent,
        kid=signer.kid,
        sig=signer.sign(key, payload),
        payload=payload,
    )


def opened(key: str, kid: str, sig: bytes, payload: bytes, verifier: CommandVerifier) -> AgentFile:
    """The file of a signed record. Raises `ValueError` with the reason, in words."""
    if not kid.startswith(AUTHOR) or not verifier.verify(kid, key, payload, sig):
        raise ValueError("it is not signed by a registry key that we know")
    try:
        agent = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it can't be read ({str(error)[:200]})") from error
    if wire.agent_key(agent.tenant, agent.agent) != key:
        raise ValueError("it is of another agent")
    for path, words in sense(agent):
        raise ValueError(f"{spelt(path)}: {words}")
    return agent


def unearned(before: AgentFile | None, after: AgentFile) -> str:
    """Environment that a version adds without the decision that grants it; empty where it adds none.

    A first version begins where it says, except where it declares a gate; a later one may only stay where
    it was. Else the gate is a word: dropped in one version, its environment named in the next. Nothing
    comes before dev, so nothing guards it.

    >>> before = AgentFile("refunds", environment="staging")
    >>> unearned(before, AgentFile("refunds", environments=("staging", "prod"), environment="staging"))
    'prod'
    """
    stays = before.granted if before is not None else ()
    known = before.grants if before is not None else ()
    made = {grant.what for grant in after.grants if grant not in known}
    for place in after.granted:
        free = place == "dev" or (before is None and place not in after.gates)
        if not free and place not in stays and environment(place) not in made:
            return place
    return ""


def same_version(before: AgentFile, after: AgentFile) -> bool:
    """Whether a version would change under its number: an old record of it could then be played again."""
    return before.version == after.version and before.digest != after.digest


def log_line(agent: "AgentState", fact: Registered, src: Src, now: float) -> InForce:
    """What the control log says of a version that has just come into force."""
    return InForce(
        src=src, tenant=agent.tenant, agent_id=agent.agent_id, version=agent.file.version,
        digest=agent.file.digest, kid=fact.kid, sig=fact.sig, payload=fact.payload, at=round(now, 3),
    )  # fmt: skip


def take(agent: "AgentState", fact: Registered, verifier: CommandVerifier) -> dict[str, Any] | None:
    """Bring a version into force. Otherwise what the alarm says; the agent's state is then untouched."""
    try:
        file = opened(
            wire.agent_key(fact.tenant, fact.agent_id), fact.kid, fact.sig, fact.payload, verifier
        )
        if agent.registered and file.version < agent.file.version:
            raise ValueError(
                f"it is version {file.version}, and version {agent.file.version} is in force"
            )
        if agent.registered and same_version(agent.file, file):
            raise ValueError(f"version {file.version} is in force with other contents")
        if place := unearned(agent.file if agent.registered else None, file):
            raise ValueError(f"it adds {place}, and nobody has granted that")
    except ValueError as error:
        return _alarm(agent, fact, str(error))
    agent.file, agent.registered = file, True
    return None


def _alarm(agent: "AgentState", fact: Registered, why: str) -> dict[str, Any]:
    return {
        "detector": "registry", "evidence_class": "rule", "severity": "high", "action": "log",
        "sentence": sentences.refused_file(why), "evidence": {
            "record_id": fact.record_id[:300], "kid": fact.kid[:100],
            "in_force": agent.file.version if agent.registered else None, "observed": why,
        },
    }  # fmt: skip
