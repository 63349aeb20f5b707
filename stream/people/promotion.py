"""One more environment for an agent, on the proof of the one before it. Pure: edits the agent's file.

dev ──gate of staging──► staging ──gate of prod──► prod
"""

from typing import get_args

import msgspec

from ingest.agent_file import AgentFile, Environment, Grant
from stream.detect.granting import noted
from stream.people.proving import Shown, lacking

PLACES: tuple[Environment, ...] = get_args(Environment)


def before(place: Environment) -> Environment:
    """Where the proof for an environment is taken.

    >>> before("prod")
    'staging'
    """
    return PLACES[PLACES.index(place) - 1]


def missing(agent: AgentFile, place: Environment, shown: Shown, by: str) -> list[str]:
    """What a promotion lacks, in words; empty where it may be made.

    >>> missing(AgentFile("refunds", environment="staging"), "prod", Shown(900, 900, 30), "ann")
    ['the file in force declares no gate for prod']
    """
    found = [] if before(place) in agent.granted else [f"it may not run in {before(place)} yet"]
    gate = agent.gates.get(place)
    if gate is None:
        return [*found, f"the file in force declares no gate for {place}"]
    return found + lacking(gate, shown, by)


def promoted(agent: AgentFile, place: Environment, grant: Grant) -> AgentFile:
    """The next version, which may run there too, and says who decided.

    >>> agent = AgentFile("refunds", environment="staging")
    >>> promoted(agent, "prod", Grant("environment prod", by="ann")).environments
    ('staging', 'prod')
    """
    more = {"version": agent.version + 1, "environments": (*agent.granted, place)}
    return noted(msgspec.structs.replace(agent, **more), grant)
