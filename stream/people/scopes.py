"""Where a person's word on a scope goes: its owner's topic, partition and key. Pure."""

from typing import NamedTuple

from ingest.topics import FLEET, INBOX
from tracefuse import wire
from tracefuse.control import WIDE
from tracefuse.errors import ConfigError

ACCESS = ("read", "write", "irreversible")
_PARTS = {"agent": 2, "tool": 3, "run": 3, "bundle": 3, "shared_tool": 2, "class": 2, "tenant": 1}
HELP = (
    "agent:TENANT/AGENT, tool:TENANT/AGENT/TOOL, run:TENANT/AGENT/TRACE, "
    "bundle:TENANT/AGENT/BUNDLE, shared_tool:TENANT/TOOL,"
    " class:TENANT/ACCESS, tenant:TENANT or fleet"
)


class Place(NamedTuple):
    """The owner of a scope: the agent's worker, or correlate for what is wider than one agent."""

    topic: str
    partition: int
    key: str
    tenant: str
    agent_id: str


def place(scope: str) -> Place:
    """Whose inbox takes orders about a scope. Raises `ConfigError` to the person for one that is none.

    >>> place("tool:acme/refunds/crm.refund").key
    'acme/refunds'
    >>> place("tenant:acme")[:2]
    ('agent.fleet.v1', 0)
    """
    kind, _, rest = scope.partition(":")
    if scope != "fleet":
        _check(scope, kind, rest)
    if kind in WIDE:
        return Place(FLEET, 0, scope, "", "")
    tenant, agent_id, *_ = rest.split("/")
    key = wire.agent_key(tenant, agent_id)
    return Place(INBOX, wire.partition_of(key), key, tenant, agent_id)


def _check(scope: str, kind: str, rest: str) -> None:
    count = _PARTS.get(kind)
    if count is None:
        raise ConfigError(f"scope {scope!r}: give {HELP}")
    parts = rest.split("/", count - 1)  # a tool's name may have slashes of its own
    tool = kind in ("tool", "shared_tool")
    if len(parts) < count or not all(parts) or ("/" in parts[-1] and not tool):
        raise ConfigError(f"scope {scope!r}: a name is empty, missing or has a slash; give {HELP}")
    if kind == "class" and parts[1] not in ACCESS:
        raise ConfigError(f"scope {scope!r}: a class is one of {', '.join(ACCESS)}")
