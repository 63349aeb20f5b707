"""One row of what held calls were told: a line of `agent.verdicts.v1`, proved as for its agent. Pure."""

import msgspec

from ingest.records import NO_SRC, Src
from stream.authenticity import envelope_key
from tracefuse import verdicts
from tracefuse.verdicts import Verdict


class Told(msgspec.Struct, gc=False, frozen=True):
    """A verdict and its proof."""

    verdict: Verdict
    kid: str
    mac: str

    @property
    def src(self) -> Src:
        return self.verdict.src or NO_SRC


def told(line: bytes, master: bytes) -> Told | None:
    """The verdict of a line; None where it is proved by no key, or by that of another agent.

    Raises
    ------
    msgspec.MsgspecError, UnicodeDecodeError, RecursionError
        It can't be read.
    """
    sealed = verdicts.unseal(line)
    key = envelope_key(master, sealed.kid)
    verdict = verdicts.open_line(line, sealed.kid, key) if key else None
    if verdict is None or sealed.kid.rpartition("/")[0] != f"{verdict.tenant}/{verdict.agent_id}":
        return None
    return Told(verdict, sealed.kid, sealed.mac)
