"""Which bundle an agent's runs get: a new one by its share, and back again at once. Edits the agent's file.

    rollout ──► version + 1 with a canary ──► rollback ──► version + 2 with the stable bundle alone

A file's new version is signed and in force everywhere within two seconds: each process tells which
version it obeys (event `bundle`), gives new runs their bundle, and refuses calls of a withdrawn one.
"""

import msgspec

from ingest.agent_file import AgentFile, Bundle, Track
from ingest.keys import Keys
from ingest.settings import Settings
from stream.registration import in_force, publish
from tracefuse import wire
from tracefuse.errors import ConfigError

ALL = 1.0


def rolled_out(agent: AgentFile, bundle: str, share: float) -> AgentFile:
    """The agent with a bundle for a share of its runs, for all of them at 1.

    Raises
    ------
    ConfigError
        To the operator: the share is none, or there is no stable bundle to go back to.

    Examples
    --------
    >>> agent = AgentFile("refunds", bundles={"stable": Bundle("b1")})
    >>> rolled_out(agent, "b2", 0.05).bundles
    {'stable': Bundle(hash='b1', share=0.0), 'canary': Bundle(hash='b2', share=0.05)}
    >>> rolled_out(agent, "b2", 1.0).bundles
    {'stable': Bundle(hash='b2', share=0.0)}
    """
    if not 0.0 < share <= ALL:
        raise ConfigError(f"share {share}: more than 0, at most 1")
    if share == ALL:
        return _with(agent, {"stable": Bundle(bundle)})
    if "stable" not in agent.bundles:
        raise ConfigError(
            f"{agent.tenant}/{agent.agent} has no stable bundle to go back to: roll one out to all first"
        )
    return _with(agent, agent.bundles | {"canary": Bundle(bundle, share)})


def rolled_back(agent: AgentFile) -> AgentFile:
    """The agent with its stable bundle alone. Raises `ConfigError` to the operator where it has none.

    >>> agent = AgentFile("a", bundles={"stable": Bundle("b1"), "canary": Bundle("b2", 0.5)})
    >>> rolled_back(agent).bundles
    {'stable': Bundle(hash='b1', share=0.0)}
    """
    stable = agent.bundles.get("stable")
    if stable is None:
        raise ConfigError(f"{agent.tenant}/{agent.agent} has no stable bundle to go back to")
    return _with(agent, {"stable": msgspec.structs.replace(stable, share=0.0)})


def _with(agent: AgentFile, bundles: dict[Track, Bundle]) -> AgentFile:
    return msgspec.structs.replace(agent, version=agent.version + 1, bundles=bundles)


async def current(settings: Settings, keys: Keys, tenant: str, agent: str) -> AgentFile:
    """The file in force. Raises `ConfigError` to the operator where there is none."""
    known = await in_force(settings, keys)
    found = known.get(wire.agent_key(tenant, agent))
    if found is None:
        raise ConfigError(f"{tenant}/{agent} has no file in force: publish one first")
    return found


async def bring(settings: Settings, keys: Keys, agent: AgentFile) -> AgentFile:
    """Publish a version; returns it."""
    await publish(settings, keys, [agent])
    return agent
