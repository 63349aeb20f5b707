"""The words of a notification: one incident, or many in one. Pure.

Names in it come from agents, so control characters go and lengths are bounded; the routes escape the rest.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ingest.records import Incident

CHARACTERS_MAX = 500
LISTED_MAX = 10  # incidents named in a summary; the others are counted

# Control characters, and those that reorder or hide text.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


class Notice(NamedTuple):
    """What a person reads."""

    title: str
    body: str


def clean(text: str) -> str:
    """The text on one line, bounded.

    >>> clean("crm\\x1b[31m\\n.refund")
    'crm [31m .refund'
    """
    shown = _HIDDEN.sub(" ", text)
    return shown if len(shown) <= CHARACTERS_MAX else shown[: CHARACTERS_MAX - 1] + "…"


def of_one(incident: Incident) -> Notice:
    """One incident in full."""
    resolved = "resolved: " if incident.status == "resolved" else ""
    lines = [
        incident.sentence,
        f"tenant {incident.tenant}, {_whom(incident)}, owner {incident.owner or 'nobody'}",
        f"severity {incident.severity}, action {incident.action}, scope {incident.scope or '-'}",
        *([f"why {incident.severity}: {incident.why}"] if incident.why else []),
        f"incident {incident.incident_id}, trace {incident.trace_id or '-'}",
    ]
    if incident.children:
        lines.append(f"children: {', '.join(incident.children)}")
    if incident.candidate_step:
        lines.append(
            f"candidate: agent {incident.candidate_agent}, step {incident.candidate_step}, "
            f"{incident.candidate_share:.0%} of the evidence"
        )
    return Notice(clean(f"[{incident.severity}] {resolved}{incident.title}"), _text(lines))


def _whom(incident: Incident) -> str:
    """Its agent, or those that have it in common."""
    if incident.agent_id or not incident.agents:
        return f"agent {incident.agent_id}"
    more = len(incident.agents) - LISTED_MAX
    names = ", ".join(incident.agents[:LISTED_MAX])
    return f"agents {names}" + (f" and {more} more" if more > 0 else "")


def of_many(incidents: Sequence[Incident]) -> Notice:
    """Many incidents in one: counted by agent and rule, the first ones named."""
    counts = Counter((one.agent_id, one.detector) for one in incidents)
    lines = [f"{agent_id}: {rule} × {n}" for (agent_id, rule), n in counts.most_common(LISTED_MAX)]
    lines += [f"{one.incident_id}: {one.sentence}" for one in incidents[:LISTED_MAX]]
    if len(incidents) > LISTED_MAX:
        lines.append(f"and {len(incidents) - LISTED_MAX} more")
    agents = {(one.tenant, one.agent_id) for one in incidents}
    whose = incidents[0].agent_id if len(agents) == 1 else f"{len(agents)} agents"
    return Notice(clean(f"{len(incidents)} incidents of {whose}"), _text(lines))


def _text(lines: Sequence[str]) -> str:
    return "\n".join(clean(line) for line in lines)
