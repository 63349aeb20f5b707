"""What the reader hears for held calls: verdicts, and the agent's own file. On the background thread."""

import msgspec

from tracefuse import grants, verdicts
from tracefuse.credentials import Credential
from tracefuse.held import Held
from tracefuse.signing import CommandVerifier
from tracefuse.wire import agent_key, partition_of, verdict_partition

# Who may sign an agent's file; a key of commands may not.
REGISTRAR = "registry"


class Answers:
    """Judges records of the registry and of the verdicts for one process.

    Parameters
    ----------
    credential
        Of the agent: whose file counts, and which key proves verdicts.
    held
        The calls that wait.
    """

    def __init__(self, credential: Credential, held: Held) -> None:
        self.held = held
        self.rejected = 0
        self.key = agent_key(credential.tenant, credential.agent_id)
        self.registry_partition = partition_of(self.key)
        self.verdict_partition = verdict_partition(held.boot_id)
        self._kid, self._secret = credential.kid, credential.envelope_key
        self._verifier = CommandVerifier(credential.command_keys)
        self._mark = held.boot_id.encode()

    def file(self, key: str, value: bytes | None, kid: str, sig: bytes) -> None:
        """A version of the agent's file; one that is not signed or not newer than the known one is none."""
        if key != self.key or value is None:
            return
        if kid.partition("/")[0] != REGISTRAR or not self._verifier.verify(kid, key, value, sig):
            self.rejected += 1
            return
        try:
            found = grants.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.rejected += 1
            return
        known = self.held.grants
        if agent_key(found.tenant, found.agent) != key:
            return
        if known is None or found.version > known.version or found == known:
            self.held.obey_file(found)
        elif found.version == known.version:
            self.rejected += 1  # somebody plays an old record of that version again

    def verdicts(self, value: bytes | None) -> None:
        """Lines of a record; those of other processes cost a look each."""
        for line in (value or b"").split(b"\n"):
            if self._mark in line:
                verdict = verdicts.open_line(line, self._kid, self._secret)
                if verdict is None:
                    self.rejected += 1
                else:
                    self.held.tell(verdict)
