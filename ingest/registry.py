"""Agents as code: one TOML file per agent. The only configuration of owner, routes, access and caps.

Unknown keys are refused, with file and key in the error. Published versions enter the agent's inbox,
which alone decides; this module reads, checks and hashes.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tracefuse.errors import ConfigError

Access = Literal["read", "write", "irreversible"]

# Part of every key and scope, where a slash separates; as long as an event's own names at most.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^/\x00]+\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Usd = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
# Below a tick every agent would be silent; above an hour nobody would notice.
Heartbeat = Annotated[float, msgspec.Meta(ge=0.5, le=3600)]


class Tool(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One allowed tool. ``latency_ms`` is the declared p95; 0 means that none is declared."""

    access: Access = "read"
    latency_ms: Milliseconds = 0.0
    poll: bool = False
    version: str = ""
    descriptor: str = ""
    undo: str = ""
    decision_args: tuple[str, ...] = ()


class Owner(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Who answers for the agent, and where alarms go: ``alertmanager`` or an apprise address."""

    name: str = ""
    routes: tuple[str, ...] = ()


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """Calls of one access class; 0 means no cap."""

    per_minute: Count = 0
    per_day: Count = 0


class Budgets(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """USD; 0 means no cap."""

    run_usd: Usd = 0.0
    day_usd: Usd = 0.0


class AgentFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """One agent as its owner declares it.

    Examples
    --------
    >>> parse('agent = "refunds"\\ntenant = "acme"\\n[tools."crm.refund"]\\naccess = "write"').tools
    {'crm.refund': Tool(access='write', latency_ms=0.0, poll=False, version='', descriptor='', \
undo='', decision_args=())}
    """

    agent: Name
    tenant: Name = "default"
    version: int = 1
    environment: Literal["dev", "staging", "prod"] = "dev"
    owner: Owner = Owner()
    purpose: str = ""
    review_by: str = ""
    tools: dict[str, Tool] = {}
    limits: dict[Access, Limits] = {}
    budgets: Budgets = Budgets()
    heartbeat_s: Heartbeat = 1.0

    def access(self, tool: str) -> Access:
        """Access class of a tool; one that is not listed counts as a write."""
        known = self.tools.get(tool)
        return known.access if known else "write"

    @property
    def digest(self) -> str:
        """Hash of the content: the same file published twice is one version."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]


def parse(text: str, name: str = "agent file") -> AgentFile:
    """Agent of a TOML text. Raises `ConfigError` to the operator, naming file and key or line."""
    try:
        return msgspec.convert(tomllib.loads(text), AgentFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise ConfigError(f"{name}: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error


def load(folder: Path) -> dict[tuple[str, str], AgentFile]:
    """All agents of a folder by (tenant, agent). Raises `ConfigError` on the first bad file."""
    agents: dict[tuple[str, str], AgentFile] = {}
    for path in sorted(folder.glob("*.toml")):
        agent = parse(_read(path), path.name)
        if (agent.tenant, agent.agent) in agents:
            raise ConfigError(f"{path.name}: agent {agent.tenant}/{agent.agent} is declared twice")
        agents[agent.tenant, agent.agent] = agent
    return agents
