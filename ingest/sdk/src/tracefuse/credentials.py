"""What one agent holds: its name, its keys, and the public keys it trusts. A small JSON file.

The pipeline derives the same keys from a tenant's master key, so it needs no list of agents.
"""

import base64
from pathlib import Path

import msgspec

from tracefuse.errors import ConfigError
from tracefuse.signing import derive


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of one agent, base64 in its file.

    Parameters
    ----------
    kid
        ``tenant/agent_id/generation``: names the envelope key.
    envelope_key
        Proves the agent's envelopes.
    hash_key
        The tenant's key for hashes and fingerprints: equal values hash alike within a tenant only.
    command_keys
        Public keys that are trusted, by key id: commands of ``auto/…`` and ``human/…`` are obeyed, the
        agent's own file is one that ``registry/…`` signed.
    """

    tenant: str
    agent_id: str
    kid: str
    envelope_key: bytes
    hash_key: bytes
    command_keys: dict[str, bytes]


def issue(
    master: bytes, tenant: str, agent_id: str, command_keys: dict[str, bytes], generation: int = 1
) -> Credential:
    """The credential of one agent, derived from its tenant's master key."""
    return Credential(
        tenant=tenant,
        agent_id=agent_id,
        kid=f"{tenant}/{agent_id}/{generation}",
        envelope_key=envelope_key(master, tenant, agent_id, generation),
        hash_key=derive(master, "hash", tenant),
        command_keys=command_keys,
    )


def envelope_key(master: bytes, tenant: str, agent_id: str, generation: int) -> bytes:
    """Key of an agent's envelopes; the pipeline recomputes it from the key id."""
    return derive(master, "envelope", tenant, agent_id, str(generation))


def load(path: Path) -> Credential:
    """Credential of a file. Raises `ConfigError` to the operator."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credential)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"credential {path}: {error}") from error


def save(credential: Credential, path: Path) -> None:
    """Write a credential that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(credential))


def fingerprint(key: bytes) -> str:
    """Short public name of a key, for listings and the doctor."""
    return base64.b32encode(derive(key, "name"))[:8].decode().lower()
