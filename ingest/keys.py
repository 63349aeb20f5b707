"""Keys of one machine: a tenant master key and the workers' command key, in files only their owner reads.

Production mounts the same files from a secret store.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tracefuse.credentials import Credential, issue
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandSigner, derive

_NAMES = ("master.key", "auto.key", "human.key")
AUTO_KID = "auto/1"
HUMAN_KID = "human/1"


@dataclass(frozen=True, slots=True)
class Keys:
    """The master key and the seeds of the two command keys, 32 bytes each."""

    master: bytes
    auto_seed: bytes
    human_seed: bytes

    def signer(self, author: str) -> CommandSigner:
        """Signer of the workers (``auto``) or of the person at this machine (``human``)."""
        if author == "auto":
            return CommandSigner(AUTO_KID, self.auto_seed)
        return CommandSigner(HUMAN_KID, self.human_seed)

    @property
    def command_keys(self) -> dict[str, bytes]:
        """Public keys that agents and workers pin."""
        return {AUTO_KID: self.signer("auto").public, HUMAN_KID: self.signer("human").public}

    @property
    def state_key(self) -> bytes:
        """Authenticates checkpoints before anything of them is loaded."""
        return derive(self.master, "state")

    def credential(self, tenant: str, agent_id: str) -> Credential:
        return issue(self.master, tenant, agent_id, self.command_keys)


def create(folder: Path) -> Keys:
    """Keys of a folder; what is missing is made once. Two processes may call it at once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in _NAMES:
        try:
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(32))
    return load(folder)


def load(folder: Path) -> Keys:
    """Keys of a folder. Raises `ConfigError` to the operator when one is missing or torn."""
    seeds = []
    for name in _NAMES:
        try:
            seed = (folder / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"key {folder / name}: {error.strerror}") from error
        if len(seed) != 32:
            raise ConfigError(f"key {folder / name}: {len(seed)} bytes, not 32")
        seeds.append(seed)
    return Keys(*seeds)
