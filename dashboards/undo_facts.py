"""What ClickHouse remembers of a run that is to be taken back, and of the attempts to do so."""

from dataclasses import dataclass
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from stream.people.undo_record import ATTEMPTS_MAX, PLAN, Seen, Standing, run_of, standing
from stream.people.undoing import Done, State
from tracefuse.errors import TracefuseError
from tracefuse.signing import CommandVerifier

# An agreement names every call (about 50 bytes each) and has to fit one event of 512 KiB.
CALLS_MAX = 5000

# Each action once, in its last revision, at the place where it was first told: requests of one agent lie
# in one partition. A memory that was written is a change too, of which no tool speaks.
_STEPS = """
SELECT * FROM
(
    SELECT
        tenant, agent_id, environment, user_id, phase, status, decision_args, state_before,
        state_after, if(call_id = '', span_id, call_id) AS call,
        if(tool = '', toString(action), toString(tool)) AS what,
        toUnixTimestamp64Micro(requested_at) AS requested,
        min((_offset, _idx)) OVER (PARTITION BY tenant, agent_id, step_id) AS place
    FROM steps
    WHERE trace_id = {trace:String} AND action IN ('tool', 'memory.write')
    ORDER BY revision DESC, phase = 'complete' DESC
    LIMIT 1 BY tenant, agent_id, step_id
)
ORDER BY place
LIMIT {most:UInt32}
"""
_STATES = """
SELECT event_id, result_hash, JSONExtractRaw(raw, 'content')
FROM events
WHERE trace_id = {trace:String} AND tenant = {tenant:String} AND agent_id = {agent:String}
  AND name IN ('state.before', 'state.after')
"""
_ENDED = """
SELECT argMax(name, (_offset, _idx)) = 'run.end'
FROM events
WHERE trace_id = {trace:String} AND tenant = {tenant:String} AND agent_id = {agent:String}
  AND name IN ('run.start', 'run.end')
"""
# One run's events lie in one partition, so offsets tell their order, and who sees one sees those before it.
_ATTEMPTS = """
SELECT trace_id, name, boot_id, call_id, status, error_type, attrs
FROM events
WHERE trace_id IN {runs:Array(String)} AND tenant = {tenant:String} AND agent_id = {agent:String}
  AND name IN ({plan:String}, 'tool.request', 'tool.result', 'run.end')
ORDER BY trace_id, _offset, _idx
"""


class NotOne(TracefuseError):
    """The trace is not of exactly one agent that may have changed something. To the person."""


@dataclass(frozen=True, slots=True)
class Run:
    """One agent's part of a trace; `ended` tells whether it said so."""

    tenant: str
    agent_id: str
    trace_id: str
    environment: str
    user_id: str
    ended: bool
    done: tuple[Done, ...]


def run_facts(client: Client, trace_id: str, agent: tuple[str, str] | None = None) -> Run:
    """What an agent did in a trace, in the stream's order.

    Raises
    ------
    NotOne
        To the person: no agent did anything, several did and none was named, or it did too much.
    """
    told = {"trace": trace_id, "most": CALLS_MAX + 1}
    rows = list(client.query(_STEPS, parameters=told).named_results())
    found = {(row["tenant"], row["agent_id"]) for row in rows}
    if agent is None and len(found) > 1:
        names = ", ".join(sorted("/".join(one) for one in found))
        raise NotOne(f"several agents acted in {trace_id}: {names}; name one with --agent")
    tenant, agent_id = agent or next(iter(found), ("", ""))
    mine = [row for row in rows if (row["tenant"], row["agent_id"]) == (tenant, agent_id)]
    if not mine:
        whose = f" of {tenant}/{agent_id}" if agent else ""
        raise NotOne(f"no call of a tool{whose} is known of trace {trace_id}")
    if len(rows) > CALLS_MAX:
        raise NotOne(f"more than {CALLS_MAX} calls in {trace_id}: too many for one agreement")
    who: dict[str, Any] = {"trace": trace_id, "tenant": tenant, "agent": agent_id}
    states = {
        event_id: State(hashed, content)
        for event_id, hashed, content in client.query(_STATES, parameters=who).result_rows
    }
    ((ended,),) = client.query(_ENDED, parameters=who).result_rows
    return Run(
        tenant, agent_id, trace_id, mine[-1]["environment"], mine[-1]["user_id"], bool(ended),
        tuple(_done(row, states) for row in mine),
    )  # fmt: skip


def attempts(client: Client, run: Run, verifier: CommandVerifier) -> Standing:
    """What the attempts to take this run back have done so far."""
    runs = [
        run_of(run.tenant, run.agent_id, run.trace_id, number + 1) for number in range(ATTEMPTS_MAX)
    ]
    return standing(run.tenant, run.agent_id, run.trace_id, seen(client, run, runs), verifier)


def seen(client: Client, run: Run, runs: list[str]) -> list[Seen]:
    """Events of attempts, by their runs."""
    told = {"runs": runs, "tenant": run.tenant, "agent": run.agent_id, "plan": PLAN}
    return [Seen(*row) for row in client.query(_ATTEMPTS, parameters=told).result_rows]


def _done(row: dict[str, Any], states: dict[str, State]) -> Done:
    return Done(
        call_id=row["call"], tool=row["what"], at=row["requested"],
        complete=row["phase"] == "complete", status=row["status"],
        decision_args=msgspec.json.decode(row["decision_args"] or b"{}", type=dict[str, Any]),
        before=states.get(row["state_before"]), after=states.get(row["state_after"]),
    )  # fmt: skip
