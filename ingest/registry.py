"""Agents as code: one TOML file per agent. The only configuration of owner, routes, access and caps.

Unknown keys are refused, with file, line and key in the error. Published versions enter the agent's
inbox, which alone decides; this module reads and checks files.
"""

from pathlib import Path

from ingest.agent_check import BadFile, Mistake, parse
from ingest.agent_file import Access, AgentFile, Budgets, Limits, Owner, Tool
from ingest.agent_schema import schema

__all__ = [
    "Access", "AgentFile", "BadFile", "Budgets", "Limits", "Mistake", "Owner", "Tool", "load", "parse",
    "read", "schema",
]  # fmt: skip


def load(folder: Path) -> dict[tuple[str, str], AgentFile]:
    """All agents of a folder by (tenant, agent). Raises `BadFile` with the mistakes of all files."""
    agents: dict[tuple[str, str], AgentFile] = {}
    mistakes: list[Mistake] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            agent = read(path)
        except BadFile as error:
            mistakes += error.mistakes
            continue
        if (agent.tenant, agent.agent) in agents:
            words = f"agent {agent.tenant}/{agent.agent} is declared twice"
            mistakes.append(Mistake(path.name, 1, "agent", words))
        agents[agent.tenant, agent.agent] = agent
    if mistakes:
        raise BadFile(mistakes)
    return agents


def read(path: Path) -> AgentFile:
    """Agent of one file. Raises `BadFile` to its owner."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile([Mistake(path.name, 1, "", str(error))]) from error
    return parse(text, path.name)
