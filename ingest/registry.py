"""Agents as code: one TOML file per agent. The only configuration of owner, routes, access and caps.

Unknown keys are refused, with file and key in the error. Published versions enter the agent's inbox,
which alone decides; this module reads and checks.
"""

import tomllib
from pathlib import Path

import msgspec

from ingest.agent_file import Access, AgentFile, Budgets, Limits, Owner, Tool
from tracefuse.errors import ConfigError

__all__ = ["Access", "AgentFile", "Budgets", "Limits", "Owner", "Tool", "load", "parse"]


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
