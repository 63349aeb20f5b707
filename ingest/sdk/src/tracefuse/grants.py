"""What the agent's process knows of its own file: which calls are held, and what follows without an answer.

Read from the signed record on `agent.registry.v1`; everything else of the file is the workers' affair.
"""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import msgspec

Access = str  # read, write, irreversible; a newer file may know more

# Beyond this a call is not waited for (architecture: the held call).
DEADLINE_SECONDS = 1.0


# The level of autonomy at which the held classes wait; below it everything does, above it nothing.
BOUNDED = 2
SHADOW = "shadow"  # the track, and the gate of a call that only a shadow made


class _Tool(msgspec.Struct, frozen=True):
    access: Access = "read"
    descriptor: str = ""  # SHA-256 of its description as it was approved; empty: any
    result: dict[str, Any] = {}  # JSON Schema of what it returns
    confidential: bool = False  # what it returns stays with tools that are so too


class _Bundle(msgspec.Struct, frozen=True):
    hash: str = ""
    share: float = 0.0


class Grants(msgspec.Struct, frozen=True):
    """The part of a file that an agent's process acts on.

    Examples
    --------
    >>> grants = decode(b'{"agent":"refunds","version":3,"tools":{"crm.pay":{"access":"irreversible"}}}')
    >>> [grants.holds(tool) for tool in ("crm.pay", "unlisted")], grants.goes_on("crm.pay")
    ([True, True], False)
    """

    agent: str
    tenant: str = "default"
    version: int = 1
    tools: dict[str, _Tool] = {}
    held: tuple[Access, ...] = ("write", "irreversible")
    without_verdict: str = "deny"
    autonomy: int = 2
    environment: str = "dev"
    environments: tuple[str, ...] = ()
    fallbacks: dict[str, str] = {}
    bundles: dict[str, _Bundle] = {}

    @property
    def stable(self) -> str:
        """Hash of the stable bundle; may be empty."""
        return self.bundles["stable"].hash if "stable" in self.bundles else ""

    def bundle_of(self, trace_id: str, stops: Callable[[str], bool] = lambda bundle: False) -> str:
        """Hash of the bundle that a run gets: the canary by its share, else the stable one; may be empty.

        A canary that `stops` names was taken back.

        The same run gets the same one in every process, and a larger share takes more runs, not others.
        """
        canary = self.bundles.get("canary")
        drawn = canary is not None and crc32(trace_id.encode()) < canary.share * 2**32
        if canary is not None and drawn and not stops(canary.hash):
            return canary.hash
        return self.stable

    def shadow_of(self, trace_id: str) -> str:
        """Hash of the bundle that repeats a run as its shadow; empty where none does."""
        shadow = self.bundles.get(SHADOW)
        if shadow is None or crc32(trace_id.encode()) >= (shadow.share or 1.0) * 2**32:
            return ""
        return shadow.hash

    def shadows(self, bundle: str) -> bool:
        """Whether a bundle runs as a shadow only: what it calls is decided, and never executed."""
        tracks = [track for track, one in self.bundles.items() if one.hash == bundle]
        return tracks == [SHADOW]

    def carries(self, bundle: str) -> bool:
        """Whether a bundle may run; a shadow runs too, where its calls are only looked at."""
        return not self.bundles or any(one.hash == bundle for one in self.bundles.values())

    def runs_in(self, environment: str) -> bool:
        """Whether an environment is granted."""
        return environment in (self.environments or (self.environment,))

    def knows(self, tool: str, descriptor: str) -> bool:
        """Whether a tool says of itself what it said when it was approved."""
        known = self.tools.get(tool)
        return known is None or not known.descriptor or known.descriptor == descriptor

    def form(self, tool: str) -> dict[str, Any]:
        """JSON Schema of what a tool returns; empty where none is declared."""
        known = self.tools.get(tool)
        return known.result if known is not None else {}

    def confidential(self, tool: str) -> bool:
        """Whether what a tool returns is confidential."""
        known = self.tools.get(tool)
        return known is not None and known.confidential

    def access(self, tool: str) -> Access:
        """Access class of a tool; one that is not listed counts as irreversible: it is denied."""
        known = self.tools.get(tool)
        return known.access if known is not None else "irreversible"

    def holds(self, tool: str) -> bool:
        """Whether a call of a tool waits for its verdict: every one of an agent that is not trusted yet."""
        if self.autonomy < BOUNDED:
            return True
        return self.autonomy == BOUNDED and self.access(tool) in self.held

    def goes_on(self, tool: str) -> bool:
        """Whether a call runs that got no verdict in time."""
        access = self.access(tool)
        if access == "write":  # below, each action is a person's or nobody's
            return self.without_verdict == "allow" and self.autonomy >= BOUNDED
        return access == "read"


decode = msgspec.json.Decoder(Grants).decode
