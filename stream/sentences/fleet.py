"""What many agents share, in words that an on-call engineer understands. Deterministic."""

from stream.sentences.evidence import Evidence

_NAMES_MAX = 5  # agents that are named; the others are counted
_FAILED = {"lock": "locked", "conflict": "in conflict", "timeout": "out of time"}
_NODES = {"tool": "the tool", "model": "the model", "bundle": "the bundle"}


def _node(tenant: str, node: str) -> str:
    kind, _, name = node.partition(":")
    return f"the tenant {tenant} by `{name}`" if kind == "tenant" else f"{_NODES[kind]} `{name}`"


def shared_cause(tenant: str, node: str, agents: list[str], expected: float, scope: str) -> str:
    """So many agents alarm on one node that one cause is likelier than chance.

    >>> shared_cause("acme", "tool:crm.find", ["a", "b", "c"], 0.1, "shared_tool:acme/crm.find")
    '3 agents alarm on the tool `crm.find` within 5 minutes, where chance brings 0.10: a, b, c. Look there \
first; alarms that join it are muted. If it must stop: `tracefuse kill shared_tool:acme/crm.find \
--reason "..."`.'
    """
    more = len(agents) - _NAMES_MAX
    named = ", ".join(agents[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
    stop = f' If it must stop: `tracefuse kill {scope} --reason "..."`.' if scope else ""
    return (
        f"{len(agents)} agents alarm on {_node(tenant, node)} within 5 minutes, where chance brings "
        f"{expected:.2f}: {named}. Look there first; alarms that join it are muted.{stop}"
    )


def shared_cause_over(node: str, alarms: int) -> str:
    """Nobody has joined for a quarter of an hour."""
    return f"No agent has alarmed on {node} for 15 minutes; {alarms} alarms belonged to it."


def part_of(sentence: str, incident_id: str, node: str) -> str:
    """An alarm of an incident that its owner has not heard of yet."""
    return f"{sentence} It is one of many on {node}: {incident_id}."


def contention(tool: str, evidence: Evidence) -> str:
    """Who is in whose way, at what, and how often.

    >>> contention("crm.update", {"observed": 5, "of": 6, "agents": ["billing", "refunds"],
    ...     "kinds": {"conflict": 4, "lock": 1}, "resource": "00c0ffee"})
    "2 agents are in each other's way at one thing (00c0ffee) of the tool `crm.update`: 5 of its 6 calls \
that others may have hindered in the last minute were about it (4 in conflict, 1 locked): billing, refunds. \
Let them take turns, or let one of them do it."
    """
    agents, kinds = evidence["agents"], evidence["kinds"]
    more = len(agents) - _NAMES_MAX
    named = ", ".join(agents[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
    how = ", ".join(f"{count} {_FAILED.get(kind, kind)}" for kind, count in kinds.items())
    return (
        f"{len(agents)} agents are in each other's way at one thing ({evidence['resource']}) of the tool "
        f"`{tool}`: {evidence['observed']} of its {evidence['of']} calls that others may have hindered in "
        f"the last minute were about it ({how}): {named}. Let them take turns, or let one of them do it."
    )
