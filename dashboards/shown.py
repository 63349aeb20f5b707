"""What an agent has shown, as ClickHouse remembers it: the proof that gates are asked about.

A run counts once it has ended. It went well if it ended with status `ok`, none of its calls was refused by
a breaker, nothing that it did tripped one, and nobody stopped it. A call that a gate of the policy denied,
or a person refused, says nothing against it. A run that never said that it ended did not go well: its
process has said nothing for `LOST_SECONDS` while others spoke.
"""

from clickhouse_connect.driver.client import Client

from stream.proving import Shown

LOST_SECONDS = 60  # six of the heartbeats that a process sends between its runs

_RUNS = """
WITH
runs AS (
    SELECT
        trace_id, anyIf(boot_id, name = 'run.start') AS boot,
        countIf(name = 'run.end') AS ends, maxIf(_at, name = 'run.end') AS ended,
        countIf(name = 'run.end' AND status != 'ok') AS failed,
        countIf(status = 'not_run' AND (error_type = 'CircuitOpen'
            OR JSONExtractString(raw, 'attrs', 'gate') = 'stopped')) AS refused
    FROM events
    WHERE tenant = {tenant:String} AND agent_id = {agent:String}
        AND _at >= fromUnixTimestamp64Milli({since:Int64})
        AND name IN ('run.start', 'run.end', 'tool.result', 'llm.response')
        AND ({environment:String} = '' OR environment = {environment:String})
        AND ({bundle:String} = '' OR bundle = {bundle:String})
    GROUP BY trace_id
    HAVING countIf(name = 'run.start') > 0
),
processes AS (
    SELECT boot_id AS boot, max(_at) AS heard
    FROM events
    WHERE tenant = {tenant:String} AND agent_id = {agent:String}
        AND _at >= fromUnixTimestamp64Milli({since:Int64})
    GROUP BY boot
),
stops AS (
    SELECT trace_id
    FROM signals
    WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND cmd_id != ''
    UNION ALL
    SELECT trace_id
    FROM control_log
    WHERE tenant = {tenant:String} AND agent_id = {agent:String} AND scope_kind = 'run'
        AND record = 'command' AND mode = 'enforce' AND state IN ('open', 'forced_open')
),
newest AS (SELECT max(_at) AS at FROM events WHERE _at >= now() - INTERVAL 1 DAY),
judged AS (
    SELECT
        ends = 0 AND heard < (SELECT at FROM newest) - toIntervalSecond({lost:UInt32}) AS lost,
        ends > 0 AND failed = 0 AND refused = 0 AND trace_id NOT IN (SELECT trace_id FROM stops) AS well,
        ends, ended
    FROM runs
    LEFT JOIN processes ON runs.boot = processes.boot
)
SELECT countIf(ends > 0 OR lost), countIf(well), uniqExactIf(toDate(ended), ends > 0), countIf(lost)
FROM judged
"""
_STANDING = "SELECT scope FROM open_breakers WHERE scope IN {scopes:Array(String)} ORDER BY scope"


def shown(
    client: Client,
    tenant: str,
    agent: str,
    *,
    environment: str = "",
    bundle: str = "",
    since: float = 0.0,
) -> Shown:
    """What an agent's runs have shown.

    Parameters
    ----------
    environment, bundle
        Of these runs alone; empty for all.
    since
        Runs that began later (s, UTC, by the broker's clock).
    """
    told = {
        "tenant": tenant, "agent": agent, "environment": environment, "bundle": bundle,
        "since": round(since * 1000), "lost": LOST_SECONDS,
    }  # fmt: skip
    ((runs, well, days, lost),) = client.query(_RUNS, parameters=told).result_rows
    scopes = [f"agent:{tenant}/{agent}", f"bundle:{tenant}/{agent}/{bundle}"]
    standing = client.query(_STANDING, parameters={"scopes": scopes}).result_rows
    return Shown(runs, well, days, lost, tuple(dict.fromkeys(scope for (scope,) in standing)))
