"""What the agent's process knows of its own file: which calls are held, and what follows without an answer.

Read from the signed record on `agent.registry.v1`; everything else of the file is the workers' affair.
"""

import msgspec

Access = str  # read, write, irreversible; a newer file may know more

# Beyond this a call is not waited for (architecture: the held call).
DEADLINE_SECONDS = 1.0


class _Tool(msgspec.Struct, frozen=True):
    access: Access = "read"


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
    environment: str = "dev"
    environments: tuple[str, ...] = ()
    fallbacks: dict[str, str] = {}

    def runs_in(self, environment: str) -> bool:
        """Whether an environment is granted."""
        return environment in (self.environments or (self.environment,))

    def access(self, tool: str) -> Access:
        """Access class of a tool; one that is not listed counts as irreversible: it is denied."""
        known = self.tools.get(tool)
        return known.access if known is not None else "irreversible"

    def holds(self, tool: str) -> bool:
        """Whether a call of a tool waits for its verdict."""
        return self.access(tool) in self.held

    def goes_on(self, tool: str) -> bool:
        """Whether a call runs that got no verdict in time."""
        access = self.access(tool)
        return access == "read" or (access == "write" and self.without_verdict == "allow")


decode = msgspec.json.Decoder(Grants).decode
