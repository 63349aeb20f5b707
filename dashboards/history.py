"""What an agent did, as ClickHouse remembers it: the history that a suggestion is made from."""

from typing import Any

from clickhouse_connect.driver.client import Client

from ingest.agent_suggest import Minute, RunUse, ToolUse

# Each action once, in its last revision; what was refused did not happen, and a probe is no example.
_DONE = """
WITH done AS (
    SELECT * FROM steps
    WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND phase = 'complete'
      AND _at >= now() - toIntervalDay({days:UInt32})
      AND trace_id NOT IN (
          SELECT trace_id FROM probe_results
          WHERE tenant = {tenant:String} AND agent_id = {agent:String}
      )
    ORDER BY revision DESC
    LIMIT 1 BY trace_id, step_id
)
"""
_TOOLS = (
    _DONE
    + """
SELECT
    tool, count(), quantileExact(0.95)(duration_us) / 1000, max(cost_usd),
    max(input_tokens + output_tokens)
FROM done
WHERE action = 'tool' AND status != 'not_run'
GROUP BY tool
ORDER BY tool
"""
)
_MINUTES = (
    _DONE
    + """
SELECT tool, intDiv(toUnixTimestamp(at), 60) AS minute, count()
FROM done
WHERE action = 'tool' AND status != 'not_run' AND NOT spooled
GROUP BY tool, minute
ORDER BY tool, minute
"""
)
_RUNS = (
    _DONE
    + """
SELECT
    toString(toDate(at)) AS day, any(environment), any(task_type), sum(cost_usd),
    sum(input_tokens + output_tokens), arraySort(groupUniqArrayIf(tool, action = 'tool'))
FROM done
WHERE status != 'not_run'
GROUP BY trace_id, day
ORDER BY day, trace_id
"""
)


def history(
    client: Client, tenant: str, agent: str, days: int
) -> tuple[list[ToolUse], list[Minute], list[RunUse]]:
    """Tools, minutes and runs of the last days; empty where nothing is known of the agent."""
    told: dict[str, Any] = {"tenant": tenant, "agent": agent, "days": days}

    def rows(query: str) -> list[Any]:
        return list(client.query(query, parameters=told).result_rows)

    return (
        [ToolUse(*row) for row in rows(_TOOLS)],
        [Minute(*row) for row in rows(_MINUTES)],
        [_run(*row) for row in rows(_RUNS)],
    )


def _run(
    day: str, environment: str, task: str, usd: float, tokens: int, tools: list[str]
) -> RunUse:
    return RunUse(day, environment, task, usd, tokens, tuple(tools))
