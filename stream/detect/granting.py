"""Decisions about an agent as its file keeps them: who let it go on, why, when, and on what proof. Pure."""

from datetime import UTC, datetime

import msgspec

from ingest.agent_file import AgentFile, Environment, Grant
from tracefuse.errors import ConfigError

# A file has to fit a record, and nobody reads a longer list. What falls out stands in older versions,
# as long as the inbox keeps them.
GRANTS_MAX = 50


def environment(name: Environment) -> str:
    """What is granted by a promotion.

    >>> environment("prod")
    'environment prod'
    """
    return f"environment {name}"


def bundle(name: str, share: float) -> str:
    """What is granted by a stage of a roll-out.

    >>> bundle("b2", 0.05), bundle("b2", 0.0)
    ('bundle b2 at 5 %', 'bundle b2 as shadow')
    """
    return f"bundle {name} at {100 * share:.10g} %" if share else f"bundle {name} as shadow"


def noted(agent: AgentFile, grant: Grant) -> AgentFile:
    """The agent with one more decision: the newest of each environment, and the newest of the rest.

    Raises
    ------
    ConfigError
        To the operator: a name or a text that no file may hold.

    Examples
    --------
    >>> noted(AgentFile("refunds"), Grant("environment prod", by="ann")).grants[-1].by
    'ann'
    """
    try:
        msgspec.convert(msgspec.to_builtins(grant), Grant)
    except msgspec.ValidationError as error:
        raise ConfigError(f"this can't be recorded: {error}") from error
    every = (*agent.grants, grant)
    places = {one.what: n for n, one in enumerate(every) if one.what.startswith("environment ")}
    others = [n for n in range(len(every)) if n not in places.values()]
    kept = sorted({*places.values(), *others[-(GRANTS_MAX - len(places)) :]})
    return msgspec.structs.replace(agent, grants=tuple(every[n] for n in kept))


def written(now: float) -> str:
    """A time (s, UTC) as a grant holds it.

    >>> written(1_700_000_000.5)
    '2023-11-14T22:13:20.500Z'
    """
    stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def since(agent: AgentFile, what: str) -> float | None:
    """When something was granted last (s, UTC); None where no readable grant tells.

    >>> grant = Grant("bundle b2 at 5 %", by="ann", at="2023-11-14T22:13:20.500Z")
    >>> since(AgentFile("refunds", grants=(grant,)), "bundle b2 at 5 %")
    1700000000.5
    """
    for grant in reversed(agent.grants):
        if grant.what == what:
            try:
                at = datetime.fromisoformat(grant.at)
            except ValueError:
                return None
            return at.timestamp() if at.tzinfo is not None else None
    return None
