"""Which bundle an agent's runs get: a new one in stages, and back again at once. Edits the agent's file.

    shadow ──gate──► 1 % ──gate──► 5 % ──gate──► 25 % ──gate──► all ──► rollback ──► the bundle before

A file's new version is signed and in force everywhere within two seconds: each process tells which
version it obeys (event `bundle`), gives new runs their bundle, and refuses calls of a withdrawn one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ingest.agent_file import AgentFile, Bundle, Part, Stage, Track
from ingest.keys import Keys
from ingest.settings import Settings
from stream.detect.granting import bundle as granted
from stream.detect.granting import since
from stream.people.registration import in_force
from tracefuse import wire
from tracefuse.errors import ConfigError

ALL = 1.0
# Of a file that declares none. Runs and share belong together: what went wrong in none of n runs goes
# wrong in fewer than 3/n of all, at 95 % (rule of three; Hanley and Lippman-Hand, JAMA 249, 1983).
STAGES = (
    Stage(0.0, runs=30, success=0.9),
    Stage(0.01, runs=30, success=0.9),
    Stage(0.05, runs=60, success=0.95),
    Stage(0.25, runs=300, success=0.99),
    Stage(ALL),
)


class UnderWay(NamedTuple):
    """A bundle that is being rolled out, and how far."""

    bundle: str
    share: float


def under_way(agent: AgentFile) -> UnderWay | None:
    """What is being rolled out; None where every run gets the stable bundle.

    >>> under_way(AgentFile("refunds", bundles={"stable": Bundle("b1"), "canary": Bundle("b2", 0.05)}))
    UnderWay(bundle='b2', share=0.05)
    """
    canary, shadow = agent.bundles.get("canary"), agent.bundles.get("shadow")
    if canary is not None:
        return UnderWay(canary.hash, canary.share)
    return UnderWay(shadow.hash, 0.0) if shadow is not None else None


def stages(agent: AgentFile) -> tuple[Stage, ...]:
    """The declared stages, or the usual ones."""
    return agent.rollout or STAGES


def gate(agent: AgentFile, share: float) -> Stage:
    """What must be shown at a share: of a share between two stages, what is asked at the lower one.

    >>> gate(AgentFile("refunds"), 0.1).share
    0.05
    """
    declared = stages(agent)
    return next((stage for stage in reversed(declared) if stage.share <= share), declared[0])


def following(agent: AgentFile, share: float) -> Stage:
    """The stage after a share.

    >>> following(AgentFile("refunds"), 0.05).share
    0.25
    """
    return next((stage for stage in stages(agent) if stage.share > share), Stage(ALL))


def began(agent: AgentFile, now: UnderWay) -> float | None:
    """When a roll-out came to where it is (s, UTC); None where no grant tells."""
    return since(agent, granted(*now))


def rolled_out(
    agent: AgentFile, bundle: str, share: float, parts: Mapping[Part, str] | None = None
) -> AgentFile:
    """The agent with a bundle for a share of its runs: for none but as a shadow at 0, for all at 1.

    `parts` is what the bundle is made of; None for what the file says of it already.

    Raises
    ------
    ConfigError
        To the operator: the share is none, or there is no stable bundle to go back to.

    Examples
    --------
    >>> agent = AgentFile("refunds", bundles={"stable": Bundle("b1")})
    >>> rolled_out(agent, "b2", 0.05).bundles["canary"]
    Bundle(hash='b2', share=0.05, previous='', parts={}, previous_parts={})
    >>> rolled_out(agent, "b2", 1.0).bundles["stable"].previous
    'b1'
    """
    if not 0.0 <= share <= ALL:
        raise ConfigError(f"share {share}: from 0 to 1")
    stable = agent.bundles.get("stable")
    made = dict(parts) if parts is not None else _parts(agent, bundle)
    if share == ALL:
        if stable is None:
            return _with(agent, {"stable": Bundle(bundle, parts=made)})
        same = stable.hash == bundle
        before = stable.previous if same else stable.hash
        earlier = stable.previous_parts if same else stable.parts
        new = Bundle(bundle, previous=before, parts=made, previous_parts=earlier)
        return _with(agent, {"stable": new})
    if stable is None:
        raise ConfigError(
            f"{_name(agent)} has no stable bundle to go back to: roll one out to all first (--share 1)"
        )
    # From here on `rollback` takes back what is new, never the bundle that proved itself.
    kept = Bundle(stable.hash, parts=stable.parts)
    if share == 0.0:
        return _with(agent, {"stable": kept, "shadow": Bundle(bundle, parts=made)})
    return _with(agent, {"stable": kept, "canary": Bundle(bundle, share, parts=made)})


def _parts(agent: AgentFile, bundle: str) -> dict[Part, str]:
    """What the file says a bundle is made of, if it names it."""
    stable = agent.bundles.get("stable")
    if stable is not None and stable.previous == bundle:
        return dict(stable.previous_parts)
    return next((dict(one.parts) for one in agent.bundles.values() if one.hash == bundle), {})


def rolled_back(agent: AgentFile) -> AgentFile:
    """The agent with its stable bundle alone, or with the one before where that runs alone already.

    An agent with nothing to take back stays as it is: a second rollback does not go further than the first.

    Raises
    ------
    ConfigError
        To the operator: it has no stable bundle.

    Examples
    --------
    >>> agent = AgentFile("a", bundles={"stable": Bundle("b1"), "canary": Bundle("b2", 0.5)})
    >>> rolled_back(agent).bundles == {"stable": Bundle("b1")}
    True
    >>> rolled_back(AgentFile("a", bundles={"stable": Bundle("b2", previous="b1")})).bundles["stable"].hash
    'b1'
    """
    stable = agent.bundles.get("stable")
    if stable is None:
        raise ConfigError(f"{_name(agent)} has no stable bundle to go back to")
    if under_way(agent) is not None:
        return _with(agent, {"stable": Bundle(stable.hash, parts=stable.parts)})
    if not stable.previous:
        return agent
    return _with(agent, {"stable": Bundle(stable.previous, parts=stable.previous_parts)})


def _with(agent: AgentFile, bundles: dict[Track, Bundle]) -> AgentFile:
    return msgspec.structs.replace(agent, version=agent.version + 1, bundles=bundles)


def _name(agent: AgentFile) -> str:
    return wire.agent_key(agent.tenant, agent.agent)


async def current(settings: Settings, keys: Keys, tenant: str, agent: str) -> AgentFile:
    """The file in force. Raises `ConfigError` to the operator where there is none."""
    known = await in_force(settings, keys)
    found = known.get(wire.agent_key(tenant, agent))
    if found is None:
        raise ConfigError(f"{tenant}/{agent} has no file in force: publish one first")
    return found
